#pragma once

#include "omni/core/random.h"
#include "omni/geometry/mesh.h"

namespace omni::geometry {

struct SurfaceComparison {
  double chamfer_l1 = 0;          // mean of the two unsquared directed mean distances
  double f_score_1 = 0;           // threshold 1 % of the target's bounding-box diagonal
  double f_score_2 = 0;           // 2 %
  double normal_consistency = 0;  // mean |n . n'| over nearest pairs, both directions
};

// Both meshes are normalised copies of the input (longest side 1.92), `points` samples each, no registration.
SurfaceComparison compare_surfaces(const Mesh& candidate, const Mesh& target, std::size_t points,
                                   CounterRng rng);

}  // namespace omni::geometry
