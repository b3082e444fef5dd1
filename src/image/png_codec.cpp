#include <png.h>

#include <cstring>
#include <memory>

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

}  // namespace

Image decode_png(std::span<const std::byte> bytes, const std::string& name) {
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
