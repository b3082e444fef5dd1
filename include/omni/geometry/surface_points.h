#pragma once

#include <vector>

#include "omni/core/random.h"
#include "omni/geometry/mesh.h"

namespace omni::geometry {

// Points on a surface, each with a normal of unit length and the interpolated vertex colour (sRGB, 0 .. 1;
// grey for a mesh without colours).
struct SurfacePoints {
  std::vector<Vec3> positions;
  std::vector<Vec3> normals;
  std::vector<Vec3> colours;
};
// Points drawn uniformly by area, with the normals of their faces. Throws Error(input) for a mesh without
// area.
SurfacePoints sample_surface(const Mesh& mesh, std::size_t count, CounterRng& rng);

// Points drawn uniformly by length on the edges at which the normals of two faces differ by more than
// `angle_degrees`, with the direction half-way between these normals. Empty where there is no such edge.
// After the salient points of Dora (Chen et al. 2024, arXiv 2412.17808): thin and sharp parts are small in
// area.
SurfacePoints sample_sharp_edges(const Mesh& mesh, std::size_t count, CounterRng& rng,
                                 float angle_degrees = 30);

}  // namespace omni::geometry
