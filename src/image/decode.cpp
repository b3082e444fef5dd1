#include <cstring>

#include "codecs.h"
#include "exif.h"
#include "file_marks.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/image/texture_image.h"

namespace omni::image {
namespace {

Image decode(std::span<const std::byte> bytes, const std::string& name, PngColours png_colours) {
  if (has_bytes(bytes, 0, "\x89PNG\r\n\x1a\n")) return decode_png(bytes, name, png_colours);
  if (has_bytes(bytes, 0, "\xff\xd8\xff")) return decode_jpeg(bytes, name);
  if (has_bytes(bytes, 0, "RIFF") && has_bytes(bytes, 8, "WEBP")) return decode_webp(bytes, name);
  fail(ErrorKind::input, "cannot read image ", name,
       ": its content is neither PNG, JPEG nor WebP. Convert it to PNG first.");
}

constexpr std::uint64_t kMaximumFileBytes = std::uint64_t{1} << 30;

}  // namespace

void check_size(std::int64_t width, std::int64_t height, std::size_t byte_count, std::int64_t pixels_per_byte,
                const std::string& name) {
  if (width <= 0 || height <= 0) fail(ErrorKind::input, "cannot read image ", name, ": it has no pixels.");
  if (width > kMaximumSide || height > kMaximumSide)
    fail(ErrorKind::input, "cannot read image ", name, ": ", width, " x ", height, " pixels are more than ",
         kMaximumSide, " a side. Scale it down first.");
  if (width * height > kMaximumPixels)
    fail(ErrorKind::input, "cannot read image ", name, ": ", width, " x ", height, " pixels are more than ",
         kMaximumPixels, ", the limit (8,192 x 8,192, or as many in another form). Scale it down first.");
  constexpr std::int64_t always_allowed = std::int64_t{1} << 16;
  const std::int64_t available = std::int64_t(byte_count);
  if (width * height > always_allowed && width * height / pixels_per_byte > available)
    fail(ErrorKind::input, "cannot read image ", name, ": its header promises ", width, " x ", height,
         " pixels, but the file has only ", byte_count, " bytes. It is truncated or forged.");
}

Image decode_image(std::span<const std::byte> bytes, const std::string& name) {
  return upright(decode(bytes, name, PngColours::as_described), exif_orientation(bytes));
}

Image read_image(const std::filesystem::path& path) {
  return decode_image(read_file_bytes(path, kMaximumFileBytes), path.string());
}

Image decode_texture(std::span<const std::byte> bytes, const std::string& name) {
  return decode(bytes, name, PngColours::as_stored);
}

Image read_texture(const std::filesystem::path& path) {
  return decode_texture(read_file_bytes(path, kMaximumFileBytes), path.string());
}

}  // namespace omni::image
