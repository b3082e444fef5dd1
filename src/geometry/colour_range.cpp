#include "colour_range.h"

#include <algorithm>
#include <cmath>

namespace omni::geometry {

void bring_to_unit_range(std::span<Vec3> colours) {
  float largest = 0;
  bool whole = true;
  for (const Vec3& colour : colours)
    for (std::size_t c = 0; c < 3; ++c) {
      if (colour[c] > largest) largest = colour[c];
      whole = whole && colour[c] == std::floor(colour[c]);
    }
  const bool counts_to_255 = largest > 2 || (largest > 1 && whole);
  if (!counts_to_255 || !std::isfinite(largest)) return;
  const float scale = 1 / (largest > 255.5f ? 65535.0f : 255.0f);
  for (Vec3& colour : colours) colour = colour * scale;
}

}  // namespace omni::geometry
