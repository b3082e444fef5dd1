#include "memory_guard.h"

#include <new>

#include "omni/core/text_format.h"

namespace omni::training {

void refuse_for_memory(const std::string& output, const MemoryAdvice& advice, const std::exception& error) {
  // A bad_alloc says nothing but its name.
  const bool says_more = dynamic_cast<const std::bad_alloc*>(&error) == nullptr;
  const std::string said = says_more ? ": " + first_line(error.what()) : "";
  fail(ErrorKind::out_of_memory, "training '", output, "': out of memory in ", advice.part, said, ". ",
       advice.change);
}

}  // namespace omni::training
