#pragma once

#include <span>
#include <string>
#include <string_view>

#include "omni/geometry/vector3.h"

namespace omni::data {

struct PaletteColour {
  std::string_view name;
  geometry::Vec3 srgb;  // 0 .. 1
};

// The named colours of the procedural world, in a fixed order; an index into it is a colour's compact name.
std::span<const PaletteColour> palette();
int palette_index(std::string_view name);  // throws Error(usage) for an unknown name
// The entry with the smallest squared sRGB distance.
int nearest_palette_colour(geometry::Vec3 srgb);

}  // namespace omni::data
