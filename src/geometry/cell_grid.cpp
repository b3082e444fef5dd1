#include "cell_grid.h"

#include <cmath>
#include <cstddef>

#include "omni/core/error.h"

namespace omni::geometry {

void check_grid(int resolution, float half_extent, int samples_per_axis) {
  if (resolution < 1 || resolution > 1024 || samples_per_axis < 1 || samples_per_axis > 16) {
    fail(ErrorKind::usage, "voxel grid: resolution ", resolution, " must be 1 .. 1024 and samples per axis ",
         samples_per_axis, " 1 .. 16");
  }
  if (!(half_extent > 0) || !std::isfinite(half_extent)) {
    fail(ErrorKind::usage, "voxel grid: half extent ", half_extent, " is not positive");
  }
}

float cell_coordinate(int i, int n, float half_extent) {
  return half_extent * (static_cast<float>(2 * i + 1 - n) / static_cast<float>(n));
}

void layer_points(int z, int n, float half_extent, std::vector<Vec3>& points) {
  points.clear();
  points.reserve(std::size_t(n) * n);
  const float pz = cell_coordinate(z, n, half_extent);
  for (int y = 0; y < n; ++y) {
    const float py = cell_coordinate(y, n, half_extent);
    for (int x = 0; x < n; ++x) points.push_back({cell_coordinate(x, n, half_extent), py, pz});
  }
}

}  // namespace omni::geometry
