#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "omni/core/error.h"
#include "omni/core/weight_source.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    for (const auto& [tensor, file] :
         omni::parse_weight_index(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz")) {
      // A file beside the index, whatever the index says.
      if (file.empty() || file == ".." || file.find('/') != std::string::npos) std::abort();
    }
  } catch (const omni::Error&) {
  }
  return 0;
}
