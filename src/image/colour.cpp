#include <algorithm>
#include <cmath>
#include <limits>

#include "omni/core/error.h"
#include "omni/image/image.h"

namespace omni::image {

float srgb_to_linear(float srgb) {
  return srgb <= 0.04045f ? srgb / 12.92f : std::pow((srgb + 0.055f) / 1.055f, 2.4f);
}

float linear_to_srgb(float linear) {
  return linear <= 0.0031308f ? linear * 12.92f : 1.055f * std::pow(linear, 1 / 2.4f) - 0.055f;
}

double psnr_db(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height || a.channels != b.channels)
    fail(ErrorKind::input, "cannot compare images: ", a.width, " x ", a.height, " x ", a.channels, " and ",
         b.width, " x ", b.height, " x ", b.channels, " differ in size.");
  if (a.pixels.empty()) fail(ErrorKind::input, "cannot compare images without pixels.");
  double sum = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    const double difference = double(a.pixels[i]) - b.pixels[i];
    sum += difference * difference;
  }
  if (sum == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(255.0 * 255.0 * double(a.pixels.size()) / sum);
}

Image to_rgb(const Image& image, std::array<std::uint8_t, 3> background) {
  if (image.channels == 3) return image;
  Image result(image.width, image.height, 3);
  for (std::size_t i = 0; i < std::size_t(image.width) * image.height; ++i) {
    const std::uint8_t* from = image.pixels.data() + i * image.channels;
    std::uint8_t* to = result.pixels.data() + i * 3;
    for (int c = 0; c < 3; ++c) {
      if (image.channels == 1) {
        to[c] = from[0];
      } else if (from[3] == 255 || from[3] == 0) {
        to[c] = from[3] ? from[c] : background[c];
      } else {
        const float alpha = from[3] / 255.0f;
        const float mixed =
            alpha * srgb_to_linear(from[c] / 255.0f) + (1 - alpha) * srgb_to_linear(background[c] / 255.0f);
        to[c] = std::uint8_t(std::clamp(std::lround(255 * linear_to_srgb(mixed)), 0l, 255l));
      }
    }
  }
  return result;
}

}  // namespace omni::image
