#pragma once

#include <vector>

#include "omni/core/random.h"
#include "omni/geometry/mesh.h"

namespace omni::geometry {

// Points drawn uniformly by area, with the face normal and the interpolated vertex colour (sRGB; grey if
// none).
struct SurfacePoints {
  std::vector<Vec3> positions;
  std::vector<Vec3> normals;
  std::vector<Vec3> colours;
};
SurfacePoints sample_surface(const Mesh& mesh, std::size_t count, CounterRng& rng);

}  // namespace omni::geometry
