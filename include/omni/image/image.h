#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace omni::image {

// 8-bit sRGB pixels, rows from the top, channels interleaved. channels is 1, 3 or 4; alpha is straight, not
// premultiplied.
struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;
  std::vector<std::uint8_t> pixels;

  Image() = default;
  Image(int width, int height, int channels, std::uint8_t fill = 0);
  std::uint8_t* at(int x, int y) { return pixels.data() + (std::size_t(y) * width + x) * channels; }
  const std::uint8_t* at(int x, int y) const {
    return pixels.data() + (std::size_t(y) * width + x) * channels;
  }
};

// The most that a picture file may decode to: an 8k texture, 8,192 x 8,192. A file of a few kilobytes can
// promise any number of pixels of one colour.
inline constexpr std::int64_t kMaximumPixels = std::int64_t{1} << 26;

// PNG, JPEG or WebP by content, upright as Exif says, in sRGB (texture_image.h: as stored). Throws Error(io)
// or Error(input): truncated, foreign, above kMaximumPixels or 16,384 pixels a side, before memory is taken
// for them. Palettes, 16-bit and interlaced files come out as 8-bit; alpha is kept as a fourth channel.
Image read_image(const std::filesystem::path& path);
Image decode_image(std::span<const std::byte> bytes, const std::string& name);

std::vector<std::byte> encode_png(const Image& image);
void write_png(const std::filesystem::path& path, const Image& image);  // atomic

// An animated PNG (APNG) that plays the frames for ever, each for so many milliseconds; where animations are
// unknown the first one shows. Throws Error(input) without frames, for unequal ones, and for a time that 16 bits
// cannot count.
std::vector<std::byte> encode_animated_png(std::span<const Image> frames, int frame_milliseconds);

// Whether the ending, in any case, is one that pictures can be written with: .png, .jpg, .jpeg or .webp.
bool is_image_file(const std::filesystem::path& path);
void require_image_file(const std::filesystem::path& path);  // throws Error(usage) that names the path
// In the format that the ending of `path` names; JPEG has alpha over white, WebP is lossless. Throws
// Error(usage) for another ending and for more pixels a side than the format can hold.
std::vector<std::byte> encode_image(const Image& image, const std::filesystem::path& path);
void write_image(const std::filesystem::path& path, const Image& image);  // atomic; throws as encode_image

// Three channels: grey is repeated, alpha is laid over `background`.
Image to_rgb(const Image& image, std::array<std::uint8_t, 3> background = {255, 255, 255});
// In linear light, by the Mitchell filter where it shrinks and Catmull-Rom where it grows. Throws
// Error(usage) for a side outside 1 .. 16,384 pixels.
Image resize(const Image& image, int width, int height);
// Throws Error(usage) for a window that is empty or leaves the image.
Image crop(const Image& image, int x, int y, int width, int height);
Image centre_square(const Image& image);                       // the largest one
void paste(Image& target, const Image& source, int x, int y);  // same channel count; clipped at the border

// Images of equal size laid out in rows with `gap` pixels of `background` between them. Throws Error(usage)
// without images or columns, Error(input) for unequal sizes.
Image contact_sheet(std::span<const Image> images, int columns, int gap = 4, std::uint8_t background = 255);

// 10 log10(255^2 / mean squared error) over all channels; +infinity for equal images. Throws Error(input) for
// unequal sizes.
double psnr_db(const Image& a, const Image& b);

// IEC 61966-2-1 transfer function, both on 0 .. 1.
float srgb_to_linear(float srgb);
float linear_to_srgb(float linear);

}  // namespace omni::image
