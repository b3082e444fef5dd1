// The cells that a solid is sampled in: n^3 of them over [-half_extent, half_extent]^3, x fastest.
#pragma once

#include <vector>

#include "omni/geometry/vector3.h"

namespace omni::geometry {

// Throws Error(usage) for what no grid can be.
void check_grid(int resolution, float half_extent, int samples_per_axis);

// The centre of cell i of n.
float cell_coordinate(int i, int n, float half_extent);

// The cell centres of layer z.
void layer_points(int z, int n, float half_extent, std::vector<Vec3>& points);

}  // namespace omni::geometry
