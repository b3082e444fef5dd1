#pragma once

#include <array>
#include <cstdint>

namespace omni::geometry {

// Corner c of a cell sits at (c & 1, c >> 1 & 1, c >> 2 & 1); bit c of a case is set where that corner is
// inside. Edge e runs along axis e / 4 from the corner whose other two coordinates are the bits of e % 4
// (lower axis first).
struct CubeEdge {
  int axis = 0;
  int from_corner = 0;  // the end with the smaller coordinate along the axis
  int to_corner = 0;
};
const std::array<CubeEdge, 12>& cube_edges();

// The triangles inside one cell, counter-clockwise seen from outside the solid; corners are cell edges (0 ..
// 11).
struct CubeCase {
  int count = 0;
  std::array<std::array<std::uint8_t, 3>, 5> triangles{};
};

// The 256 cases, derived rather than listed. On every face each run of inside corners is cut off by one
// segment (so an ambiguous face separates its inside corners, which depends on that face alone and so agrees
// with the neighbour); the segments close to loops; loops are triangulated without a diagonal inside a cell
// face, because the neighbour could own the same edge. Every loop of every case has such a triangulation.
const std::array<CubeCase, 256>& cube_cases();

}  // namespace omni::geometry
