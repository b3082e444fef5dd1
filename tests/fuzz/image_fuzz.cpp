#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "../support/allocation_peak.h"
#include "omni/core/error.h"
#include "omni/image/texture_image.h"

// An image within the limit or an Error(input), and no more memory than the largest image needs: 8 bytes a
// pixel while a picture with alpha is turned.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using omni::image::kMaximumPixels;
  const auto broken = [](const char* what) {
    std::fprintf(stderr, "image decoder: %s\n", what);
    std::abort();
  };
  const omni::test::AllocationPeak peak;
  try {
    for (const auto decode : {omni::image::decode_image, omni::image::decode_texture}) {
      const auto image = decode({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
      const std::int64_t pixels = std::int64_t{image.width} * image.height;
      if (pixels <= 0 || pixels > kMaximumPixels) broken("a size beyond the limit");
      if (image.pixels.size() != static_cast<std::size_t>(pixels * image.channels)) broken("too few pixels");
    }
  } catch (const omni::Error& error) {
    if (error.kind() != omni::ErrorKind::input) throw;
  }
  if (peak.bytes() > 8 * static_cast<std::size_t>(kMaximumPixels) + size + (1 << 20))
    broken("too much memory");
  return 0;
}
