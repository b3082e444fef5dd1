#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "omni/geometry/vector3.h"

namespace omni::geometry {

// Triangulates one polygon (at least 3 corners; flat or nearly so, convex or not) and appends triples of
// positions in `corners`: small ones by ear clipping, larger ones by a sweep, in n log n. Keeps the
// orientation. What crosses itself is covered in some way.
void triangulate_polygon(std::span<const Vec3> corners, std::vector<std::array<std::uint32_t, 3>>& triangles);

}  // namespace omni::geometry
