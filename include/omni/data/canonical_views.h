#pragma once

#include <vector>

#include "omni/geometry/camera.h"

namespace omni::data {

// The canonical views, which pictures of objects are taken from unless others are asked for: from 30 degrees
// above, at 45, 135, 225 and 315 degrees of azimuth. Each is a three-quarter view that shows two sides and
// the top, so one picture tells all three extents.
inline constexpr int kCanonicalViews = 4;
inline constexpr int kCanonicalElevationBin = 4;

// The azimuth bins of `count` such views, evenly around from 45 degrees on. Throws Error(usage) unless count
// divides the 24 azimuth bins, or is 0.
std::vector<int> canonical_azimuth_bins(int count = kCanonicalViews);
std::vector<geometry::Camera> canonical_views(int count = kCanonicalViews);

}  // namespace omni::data
