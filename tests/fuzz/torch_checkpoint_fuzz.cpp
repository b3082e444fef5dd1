#include <cstdint>
#include <span>

#include "omni/core/error.h"
#include "omni/tokenizers/torch_checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    omni::tokenizers::parse_torch_checkpoint(std::as_bytes(std::span(data, size)), "fuzz");
  } catch (const omni::Error&) {
  }
  return 0;
}
