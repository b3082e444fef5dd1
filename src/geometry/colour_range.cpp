#include "colour_range.h"

#include <algorithm>
#include <cmath>

namespace omni::geometry {

std::size_t bring_to_unit_range(std::span<Vec3> colours) {
  const auto finite = [](const Vec3& c) {
    return std::isfinite(c.x) && std::isfinite(c.y) && std::isfinite(c.z);
  };
  float largest = 0;
  bool whole = true;
  for (const Vec3& colour : colours)
    for (std::size_t c = 0; c < 3 && finite(colour); ++c) {
      if (colour[c] > largest) largest = colour[c];
      whole = whole && colour[c] == std::floor(colour[c]);
    }
  const bool counts_to_255 = largest > 2 || (largest > 1 && whole);
  const float scale = !counts_to_255 ? 1.0f : 1 / (largest > 255.5f ? 65535.0f : 255.0f);
  std::size_t broken = 0;
  for (Vec3& colour : colours) {
    if (finite(colour)) {
      colour = colour * scale;
    } else {
      colour = {1, 1, 1};
      ++broken;
    }
  }
  return broken;
}

}  // namespace omni::geometry
