#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "omni/geometry/vector3.h"

namespace omni::geometry {

// Vertices at bit-equal positions (0 and -0 count as equal) share one number; numbers follow first
// appearance.
struct Weld {
  std::vector<std::uint32_t> group_of;  // per vertex
  std::vector<std::uint32_t> first_of;  // per group: its first vertex
};
Weld weld_positions(std::span<const Vec3> positions);
// The same for vertices that agree in position and colour; `colours` may be empty.
Weld weld_positions_and_colours(std::span<const Vec3> positions, std::span<const Vec3> colours);

}  // namespace omni::geometry
