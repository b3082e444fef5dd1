#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace omni::geometry {

struct PlanePoint {
  double x = 0, y = 0;
  friend bool operator==(PlanePoint, PlanePoint) = default;
};

// Twice the signed area of the triangle: positive where it turns counter-clockwise.
inline double turn(PlanePoint a, PlanePoint b, PlanePoint c) {
  return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

// Triangulates a simple, counter-clockwise polygon in n log n: a sweep cuts it into pieces that are monotone
// in y, and a stack triangulates each (de Berg et al., "Computational Geometry", 3rd edition, chapter 3).
// Corners that repeat the one before are left out. Appends counter-clockwise triples of indices that cover
// exactly the polygon's area and returns true; false, with nothing appended, where the polygon crosses or
// touches itself in a way that forbids it.
bool triangulate_by_sweep(std::span<const PlanePoint> corners,
                          std::vector<std::array<std::uint32_t, 3>>& triangles);

}  // namespace omni::geometry
