#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "omni/image/image.h"

namespace omni::image {

inline constexpr int kMaximumSide = 16384;

// Whether the gamma and the profile that a PNG names are applied (libpng turns them into sRGB) or ignored.
enum class PngColours { as_described, as_stored };

// Each decoder throws Error(input) naming the file. `name` appears in errors only. Orientation is the
// caller's.
Image decode_png(std::span<const std::byte> bytes, const std::string& name, PngColours colours);
Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name);
Image decode_webp(std::span<const std::byte> bytes, const std::string& name);

// Of images with pixels. Each throws Error(usage) for sizes that the format cannot hold.
std::vector<std::byte> encode_jpeg(const Image& image);  // quality 95, colours at full resolution
std::vector<std::byte> encode_webp(const Image& image);  // lossless

// Refuses sizes above kMaximumSide and kMaximumPixels, and sizes that the bytes at hand cannot possibly hold:
// `pixels_per_byte` is an upper bound of the format's compression, so that a forged header cannot make us
// allocate.
void check_size(std::int64_t width, std::int64_t height, std::size_t byte_count, std::int64_t pixels_per_byte,
                const std::string& name);

}  // namespace omni::image
