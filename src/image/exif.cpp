#include "exif.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "file_marks.h"

namespace omni::image {
namespace {

using Bytes = std::span<const std::byte>;

// Unsigned integer of so many bytes; the caller knows that they are there.
std::uint32_t integer(Bytes bytes, std::size_t offset, int count, bool big_endian) {
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i)
    value |= std::to_integer<std::uint32_t>(bytes[offset + std::size_t(i)])
             << 8 * (big_endian ? count - 1 - i : i);
  return value;
}

Bytes after_exif_mark(Bytes segment) {
  return has_bytes(segment, 0, std::string_view("Exif\0", 5)) && segment.size() > 6 ? segment.subspan(6)
                                                                                    : Bytes{};
}

// The TIFF structure in a JPEG's APP1; other bytes between segments are stepped over.
Bytes tiff_of_jpeg(Bytes file) {
  for (std::size_t at = 2; at + 4 <= file.size();) {
    const auto marker = std::to_integer<int>(file[at + 1]);
    if (file[at] != std::byte{0xff} || marker == 0x00 || marker == 0xff) {
      ++at;
      continue;
    }
    if (marker == 0xda || marker == 0xd9) return {};  // pixels, or the end
    if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2;
      continue;
    }
    const std::size_t length = integer(file, at + 2, 2, true);
    if (length < 2 || length > file.size() - at - 2) return {};
    if (marker == 0xe1)
      if (const Bytes tiff = after_exif_mark(file.subspan(at + 4, length - 2)); !tiff.empty()) return tiff;
    at += 2 + length;
  }
  return {};
}

Bytes tiff_of_png(Bytes file) {
  for (std::size_t at = 8; at + 12 <= file.size();) {
    const std::size_t length = integer(file, at, 4, true);
    if (length > file.size() - at - 12) return {};
    if (has_bytes(file, at + 4, "eXIf")) return file.subspan(at + 8, length);
    at += 12 + length;
  }
  return {};
}

Bytes tiff_of_webp(Bytes file) {
  for (std::size_t at = 12; at + 8 <= file.size();) {
    const std::size_t length = integer(file, at + 4, 4, false);
    if (length > file.size() - at - 8) return {};
    if (has_bytes(file, at, "EXIF")) {
      const Bytes chunk = file.subspan(at + 8, length), marked = after_exif_mark(chunk);
      return marked.empty() ? chunk : marked;
    }
    at += 8 + length + length % 2;
  }
  return {};
}

int orientation_of_tiff(Bytes tiff) {
  constexpr std::uint32_t kOrientation = 0x0112, kShort = 3, kLong = 4;
  const bool big_endian = has_bytes(tiff, 0, std::string_view("MM\0*", 4));
  if (tiff.size() < 10 || (!big_endian && !has_bytes(tiff, 0, std::string_view("II*\0", 4)))) return 1;
  const std::size_t directory = integer(tiff, 4, 4, big_endian);
  if (directory > tiff.size() - 2) return 1;
  const std::size_t entries = integer(tiff, directory, 2, big_endian);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t at = directory + 2 + 12 * i;
    if (at + 12 > tiff.size()) return 1;
    if (integer(tiff, at, 2, big_endian) != kOrientation) continue;
    const std::uint32_t type = integer(tiff, at + 2, 2, big_endian);
    const std::uint32_t value = integer(tiff, at + 8, type == kLong ? 4 : 2, big_endian);
    return (type == kShort || type == kLong) && value >= 1 && value <= 8 ? int(value) : 1;
  }
  return 1;
}

}  // namespace

int exif_orientation(Bytes file) {
  if (has_bytes(file, 0, "\xff\xd8")) return orientation_of_tiff(tiff_of_jpeg(file));
  if (has_bytes(file, 0, "\x89PNG")) return orientation_of_tiff(tiff_of_png(file));
  if (has_bytes(file, 0, "RIFF") && has_bytes(file, 8, "WEBP"))
    return orientation_of_tiff(tiff_of_webp(file));
  return 1;
}

Image upright(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool transposed = orientation >= 5;
  // In the upright picture, seen from its pixel (x, y): whether the stored column and row count from the far
  // end.
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image result(transposed ? image.height : image.width, transposed ? image.width : image.height,
               image.channels);
  for (int y = 0; y < result.height; ++y)
    for (int x = 0; x < result.width; ++x) {
      const int column = transposed ? y : x, row = transposed ? x : y;
      const std::uint8_t* from =
          image.at(from_right ? image.width - 1 - column : column, from_below ? image.height - 1 - row : row);
      std::copy_n(from, image.channels, result.at(x, y));
    }
  return result;
}

}  // namespace omni::image
