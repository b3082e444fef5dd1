#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "omni/geometry/vector3.h"

namespace omni::geometry {

// Triangulates one polygon (at least 3 corners; flat or nearly so, convex or not) by ear clipping and appends
// triples of positions in `corners`. Polygons of more than 256 corners become fans. Keeps the orientation.
void triangulate_polygon(std::span<const Vec3> corners, std::vector<std::array<std::uint32_t, 3>>& triangles);

}  // namespace omni::geometry
