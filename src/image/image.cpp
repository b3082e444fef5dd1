#include "omni/image/image.h"

#include <algorithm>
#include <cstring>

#include "omni/core/error.h"

namespace omni::image {

Image::Image(int width, int height, int channels, std::uint8_t fill)
    : width(width), height(height), channels(channels) {
  ensure(width >= 0 && height >= 0, "an image of ", width, " x ", height, " pixels");
  ensure(channels == 1 || channels == 3 || channels == 4, "an image of ", channels, " channels");
  pixels.assign(std::size_t(width) * height * channels, fill);
}

Image crop(const Image& image, int x, int y, int width, int height) {
  if (x < 0 || y < 0 || width <= 0 || height <= 0 || x > image.width - width || y > image.height - height)
    fail(ErrorKind::usage, "cannot crop ", width, " x ", height, " pixels at (", x, ", ", y,
         ") from an image of ", image.width, " x ", image.height, ": the window leaves the image.");
  Image result(width, height, image.channels);
  for (int row = 0; row < height; ++row)
    std::memcpy(result.at(0, row), image.at(x, y + row), std::size_t(width) * image.channels);
  return result;
}

Image centre_square(const Image& image) {
  const int side = std::min(image.width, image.height);
  return crop(image, (image.width - side) / 2, (image.height - side) / 2, side, side);
}

void paste(Image& target, const Image& source, int x, int y) {
  ensure(target.channels == source.channels, "pasting an image of ", source.channels,
         " channels into one of ", target.channels);
  const int left = std::max(0, x),
            right = int(std::min<std::int64_t>(target.width, std::int64_t(x) + source.width));
  const int top = std::max(0, y),
            bottom = int(std::min<std::int64_t>(target.height, std::int64_t(y) + source.height));
  if (left >= right) return;
  for (int row = top; row < bottom; ++row)
    std::memcpy(target.at(left, row), source.at(left - x, row - y),
                std::size_t(right - left) * target.channels);
}

Image contact_sheet(std::span<const Image> images, int columns, int gap, std::uint8_t background) {
  if (images.empty() || columns <= 0 || gap < 0)
    fail(ErrorKind::usage, "cannot lay out a contact sheet: it needs at least one image and one column.");
  const Image& first = images.front();
  for (const Image& image : images)
    if (image.width != first.width || image.height != first.height || image.channels != first.channels)
      fail(ErrorKind::input, "cannot lay out a contact sheet: the images differ in size.");
  const int used_columns = int(std::min<std::size_t>(images.size(), std::size_t(columns)));
  const int rows = int((images.size() + used_columns - 1) / used_columns);
  Image sheet(used_columns * first.width + (used_columns - 1) * gap, rows * first.height + (rows - 1) * gap,
              first.channels, background);
  if (first.channels == 4)
    for (std::size_t i = 3; i < sheet.pixels.size(); i += 4) sheet.pixels[i] = 255;
  for (std::size_t i = 0; i < images.size(); ++i)
    paste(sheet, images[i], int(i % used_columns) * (first.width + gap),
          int(i / used_columns) * (first.height + gap));
  return sheet;
}

}  // namespace omni::image
