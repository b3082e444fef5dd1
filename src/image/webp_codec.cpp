#include <webp/decode.h>
#include <webp/encode.h>

#include <limits>
#include <memory>

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

std::vector<std::byte> encode_webp(const Image& image) {
  const Image& pixels = image.channels == 1 ? to_rgb(image) : image;
  const int stride = pixels.width * pixels.channels;
  std::uint8_t* encoded = nullptr;
  const std::size_t size =
      pixels.channels == 4
          ? WebPEncodeLosslessRGBA(pixels.pixels.data(), pixels.width, pixels.height, stride, &encoded)
          : WebPEncodeLosslessRGB(pixels.pixels.data(), pixels.width, pixels.height, stride, &encoded);
  const std::unique_ptr<std::uint8_t, decltype(&WebPFree)> owner(encoded, &WebPFree);
  if (size == 0) {
    fail(ErrorKind::usage, "cannot write WebP: ", image.width, " x ", image.height,
         " pixels do not fit into it (at most ", WEBP_MAX_DIMENSION, " a side). Use .png");
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(encoded);
  return {bytes, bytes + size};
}

}  // namespace omni::image
