#pragma once

#include "omni/geometry/solid_field.h"

namespace omni::geometry {

// Four times the mean distance of inside points from the outside, which is a slab's thickness: a ball of
// radius r gives r, thin parts pull it down. On a grid of resolution^3 cells over [-half_extent,
// half_extent]^3, beyond which all is outside, by an exact distance transform (Felzenszwalb and Huttenlocher,
// "Distance transforms of sampled functions", 2012). 0 for an empty shape.
double mean_thickness(const SolidField& field, int resolution = 64, float half_extent = 1.0f);

}  // namespace omni::geometry
