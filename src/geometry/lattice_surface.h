#pragma once

#include <algorithm>
#include <cmath>

#include "marching_cubes.h"
#include "omni/geometry/iso_surface.h"

namespace omni::geometry {

inline bool on_border(int resolution, int x, int y, int z) {
  const auto at_end = [resolution](int i) { return i == 0 || i == resolution; };
  return at_end(x) || at_end(y) || at_end(z);
}

// Where along an edge the value passes isovalue. Kept off the ends, so that vertices of different edges never
// meet and no triangle is degenerate; the middle where values are not finite.
inline float crossing(float from, float to, float isovalue) {
  const float t = (isovalue - from) / (to - from);
  return std::isnan(t) ? 0.5f : std::clamp(t, 1e-3f, 1 - 1e-3f);
}

// The mesh over lattice points of which `inside` tells the side; value_at(x, y, z) is asked for both ends of
// the cut edges only.
template <class ValueAt>
Mesh surface_of_lattice(const InsideBits& inside, const IsoSurfaceOptions& options, const ValueAt& value_at) {
  const int n = options.resolution;
  const auto forced_value = [&](int x, int y, int z) {
    const float value = value_at(x, y, z);
    return on_border(n, x, y, z) && value > options.isovalue ? options.isovalue : value;
  };
  const CubeMarcher marcher(inside);
  Mesh mesh;
  mesh.positions.resize(marcher.vertex_count());
  marcher.for_each_vertex([&](std::uint32_t vertex, int axis, int x, int y, int z) {
    int end[3] = {x, y, z};
    ++end[axis];
    const float t = crossing(forced_value(x, y, z), forced_value(end[0], end[1], end[2]), options.isovalue);
    Vec3 position = lattice_point(options, x, y, z);
    const float to = lattice_point(options, end[0], end[1], end[2])[axis];
    position[axis] += t * (to - position[axis]);
    mesh.positions[vertex] = position;
  });
  mesh.triangles = marcher.triangles();
  return mesh;
}

}  // namespace omni::geometry
