#include <cstddef>
#include <cstdint>
#include <span>

#include "omni/core/error.h"
#include "omni/core/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    omni::parse_npy(std::as_bytes(std::span(data, size)), "fuzz.npy");
  } catch (const omni::Error&) {
  }
  return 0;
}
