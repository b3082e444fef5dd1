#include "omni/core/safetensors.h"

#include <cstddef>
#include <cstdint>

#include "omni/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const omni::SafetensorsFile file(std::as_bytes(std::span(data, size)), "fuzz");
    // Touches the first and last byte of every tensor: an offset outside the file would be seen.
    unsigned sum = 0;
    for (const auto& [name, view] : file.tensors()) {
      if (!view.bytes.empty())
        sum += std::to_integer<unsigned>(view.bytes.front()) + std::to_integer<unsigned>(view.bytes.back());
    }
    return sum == 0xffffffff ? 1 : 0;
  } catch (const omni::Error&) {
  }
  return 0;
}
