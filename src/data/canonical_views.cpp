#include "omni/data/canonical_views.h"

#include "omni/core/error.h"

namespace omni::data {

std::vector<int> canonical_azimuth_bins(int count) {
  constexpr int kFirst = 3;
  if (count < 0 || (count > 0 && geometry::kAzimuthBins % count != 0))
    fail(ErrorKind::usage, "canonical views: ", count, " does not divide the ", geometry::kAzimuthBins,
         " azimuth bins. Use 0, 1, 2, 3, 4, 6, 8, 12 or 24");
  std::vector<int> bins;
  for (int i = 0; i < count; ++i)
    bins.push_back((kFirst + i * geometry::kAzimuthBins / count) % geometry::kAzimuthBins);
  return bins;
}

std::vector<geometry::Camera> canonical_views(int count) {
  std::vector<geometry::Camera> cameras;
  for (const int bin : canonical_azimuth_bins(count))
    cameras.push_back({.azimuth_degrees = geometry::azimuth_of_bin(bin),
                       .elevation_degrees = geometry::elevation_of_bin(kCanonicalElevationBin)});
  return cameras;
}

}  // namespace omni::data
