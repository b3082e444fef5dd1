#include "omni/core/memory_error.h"

#include <new>
#include <string_view>

#include "omni/core/error.h"

namespace omni {

bool tells_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  if (dynamic_cast<const Error*>(&error) != nullptr) return false;
  const std::string_view message = error.what();
  return message.find("can't allocate memory") != message.npos ||
         message.find("out of memory") != message.npos;
}

}  // namespace omni
