#include <png.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include "codecs.h"
#include "omni/core/error.h"
#include "omni/core/files.h"

namespace omni::image {
namespace {

// libpng's simplified interface keeps its setjmp to itself and returns failures.
struct PngImage {
  png_image png{};
  PngImage() { png.version = PNG_IMAGE_VERSION; }
  ~PngImage() { png_image_free(&png); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
};

png_uint_32 format_of(int channels) {
  return channels == 1 ? PNG_FORMAT_GRAY : channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_RGBA;
}

std::uint32_t big_endian(std::span<const std::byte> bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | std::to_integer<std::uint32_t>(bytes[offset + i]);
  return value;
}

// The file without its chunks on colour; nothing where it has none.
std::optional<std::vector<std::byte>> without_colour_chunks(std::span<const std::byte> bytes) {
  constexpr std::size_t kSignature = 8, kOverhead = 12;  // length, type and checksum
  std::vector<std::byte> kept(bytes.begin(), bytes.begin() + kSignature);
  bool found = false;
  std::size_t at = kSignature;
  while (at + kOverhead <= bytes.size()) {
    const std::size_t length = big_endian(bytes, at);
    if (length > bytes.size() - at - kOverhead) break;  // libpng says what is wrong
    const auto chunk = bytes.subspan(at, kOverhead + length);
    const std::string_view type(reinterpret_cast<const char*>(chunk.data()) + 4, 4);
    if (type == "IDAT") break;  // they come before the pixels
    if (type == "gAMA" || type == "cHRM" || type == "iCCP" || type == "sRGB")
      found = true;
    else
      kept.insert(kept.end(), chunk.begin(), chunk.end());
    at += chunk.size();
  }
  if (!found) return std::nullopt;
  kept.insert(kept.end(), bytes.begin() + std::ptrdiff_t(at), bytes.end());
  return kept;
}

}  // namespace

Image decode_png(std::span<const std::byte> bytes, const std::string& name, PngColours colours) {
  std::optional<std::vector<std::byte>> stripped;
  if (colours == PngColours::as_stored) stripped = without_colour_chunks(bytes);
  if (stripped) bytes = *stripped;
  PngImage holder;
  png_image& png = holder.png;
  if (!png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()))
    fail(ErrorKind::input, "cannot read PNG ", name, ": ", png.message, ". The file is broken or truncated.");
  // Deflate shrinks at most 1,032 times, and a pixel takes at least one bit.
  check_size(png.width, png.height, bytes.size(), 1032 * 8, name);
  const bool alpha = (png.format & PNG_FORMAT_FLAG_ALPHA) != 0;
  const bool colour = (png.format & PNG_FORMAT_FLAG_COLOR) != 0;
  Image image(int(png.width), int(png.height), alpha ? 4 : colour ? 3 : 1);
  png.format = format_of(image.channels);
  png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  if (!png_image_finish_read(&png, nullptr, image.pixels.data(), 0, nullptr))
    fail(ErrorKind::input, "cannot read PNG ", name, ": ", png.message, ". The file is broken or truncated.");
  return image;
}

std::vector<std::byte> encode_png(const Image& image) {
  if (image.width <= 0 || image.height <= 0)
    fail(ErrorKind::input, "cannot write PNG: the image has no pixels.");
  ensure(image.pixels.size() == std::size_t(image.width) * image.height * image.channels,
         "an image's pixel count disagrees with its size");
  PngImage holder;
  png_image& png = holder.png;
  png.width = png_uint_32(image.width);
  png.height = png_uint_32(image.height);
  png.format = format_of(image.channels);
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::vector<std::byte> bytes(size);
  if (!png_image_write_to_memory(&png, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr))
    fail(ErrorKind::internal, "cannot encode PNG: ", png.message);
  bytes.resize(size);
  return bytes;
}

void write_png(const std::filesystem::path& path, const Image& image) {
  const std::vector<std::byte> bytes = encode_png(image);
  write_file_atomically(path, std::span<const std::byte>(bytes));
}

}  // namespace omni::image
