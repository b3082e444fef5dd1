#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif
#include <stb/stb_image_resize.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#include "codecs.h"
#include "omni/core/error.h"

namespace omni::image {

Image resize(const Image& image, int width, int height) {
  if (width <= 0 || height <= 0 || width > kMaximumSide || height > kMaximumSide)
    fail(ErrorKind::usage, "cannot resize an image to ", width, " x ", height, ": each side must be 1 to ",
         kMaximumSide, ".");
  if (image.width <= 0 || image.height <= 0) fail(ErrorKind::input, "cannot resize an image without pixels.");
  if (width == image.width && height == image.height) return image;
  Image result(width, height, image.channels);
  const int alpha = image.channels == 4 ? 3 : STBIR_ALPHA_CHANNEL_NONE;
  const int ok = stbir_resize_uint8_srgb(image.pixels.data(), image.width, image.height, 0,
                                         result.pixels.data(), width, height, 0, image.channels, alpha, 0);
  if (!ok) fail(ErrorKind::internal, "cannot resize an image: out of memory.");
  return result;
}

}  // namespace omni::image
