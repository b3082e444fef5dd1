#include <cstddef>
#include <cstdint>
#include <string_view>

#include "omni/core/error.h"
#include "omni/tokenizers/shape_codes_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    omni::tokenizers::parse_shape_segments({reinterpret_cast<const char*>(data), size}, "fuzz.json");
  } catch (const omni::Error&) {
  }
  return 0;
}
