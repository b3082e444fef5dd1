#include <cstddef>
#include <cstdint>

#include "omni/core/error.h"
#include "omni/image/image.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    omni::image::decode_image({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  } catch (const omni::Error&) {
  }
  return 0;
}
