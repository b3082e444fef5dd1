#pragma once

#include "omni/geometry/occupancy_bits.h"

namespace omni::geometry {

// Four times the mean distance of inside points from the outside, which is a slab's thickness: a ball of
// radius r gives r, thin parts pull it down. Beyond the grid all is outside. By an exact distance transform
// (Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", 2012). 0 for an empty shape.
// Throws Error(usage) for a resolution beyond 1 .. 512.
double mean_thickness(const OccupancyBits& shape);

}  // namespace omni::geometry
