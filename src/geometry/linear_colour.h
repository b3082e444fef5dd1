#pragma once

#include "omni/geometry/vector3.h"
#include "omni/image/image.h"

namespace omni::geometry {

// An sRGB colour, each channel 0 .. 1, as linear RGB.
inline Vec3 to_linear(Vec3 c) {
  return {image::srgb_to_linear(c.x), image::srgb_to_linear(c.y), image::srgb_to_linear(c.z)};
}

}  // namespace omni::geometry
