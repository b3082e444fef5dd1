#include <webp/decode.h>

#include <limits>

#include "codecs.h"
#include "omni/core/error.h"

namespace omni::image {

Image decode_webp(std::span<const std::byte> bytes, const std::string& name) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  WebPBitstreamFeatures features{};
  if (WebPGetFeatures(data, bytes.size(), &features) != VP8_STATUS_OK)
    fail(ErrorKind::input, "cannot read WebP ", name, ": its header is broken or truncated.");
  if (features.has_animation)
    fail(ErrorKind::input, "cannot read WebP ", name, ": it is an animation. Save one frame as PNG.");
  // One colour needs no bits per pixel in the lossless format, so no ratio limits it.
  check_size(features.width, features.height, bytes.size(), std::numeric_limits<std::int64_t>::max(), name);
  Image image(features.width, features.height, features.has_alpha ? 4 : 3);
  const int stride = image.width * image.channels;
  const auto* decoded =
      features.has_alpha
          ? WebPDecodeRGBAInto(data, bytes.size(), image.pixels.data(), image.pixels.size(), stride)
          : WebPDecodeRGBInto(data, bytes.size(), image.pixels.data(), image.pixels.size(), stride);
  if (!decoded) fail(ErrorKind::input, "cannot read WebP ", name, ": the file is broken or truncated.");
  return image;
}

}  // namespace omni::image
