#pragma once

#include <vector>

#include "omni/geometry/vector3.h"

namespace omni::geometry {

// The cells that a solid is sampled in: n^3 of them over [-half_extent, half_extent]^3, x fastest.

// Throws Error(usage) unless 1 <= resolution <= 1024, 1 <= samples_per_axis <= 16 and half_extent > 0.
void check_grid(int resolution, float half_extent, int samples_per_axis);

// The centre of cell i of n.
float cell_coordinate(int i, int n, float half_extent);

// The cell centres of layer z.
void layer_points(int z, int n, float half_extent, std::vector<Vec3>& points);

}  // namespace omni::geometry
