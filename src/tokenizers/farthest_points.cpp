#include "farthest_points.h"

#include <limits>
#include <vector>

#include "omni/core/error.h"
#include "omni/core/parallel.h"
#include "omni/geometry/vector3.h"

namespace omni::tokenizers {
namespace {

using geometry::Vec3;

void choose(const Vec3* points, std::int64_t size, std::int64_t count, std::int64_t* chosen) {
  double mean[3] = {};
  for (std::int64_t i = 0; i < size; ++i)
    for (std::size_t axis = 0; axis < 3; ++axis) mean[axis] += points[i][axis] / static_cast<double>(size);
  const Vec3 centre{float(mean[0]), float(mean[1]), float(mean[2])};
  std::vector<float> nearest(static_cast<std::size_t>(size), std::numeric_limits<float>::infinity());
  Vec3 last = centre;
  for (std::int64_t k = 0; k < count; ++k) {
    std::int64_t best = 0;
    float farthest = -1;
    for (std::int64_t i = 0; i < size; ++i) {
      const Vec3 offset = points[i] - last;
      float& distance = nearest[static_cast<std::size_t>(i)];
      // The distance from the mean counts for the first choice alone.
      distance = k == 1 ? dot(offset, offset) : std::min(distance, dot(offset, offset));
      if (distance > farthest) {
        farthest = distance;
        best = i;
      }
    }
    chosen[k] = best;
    last = points[best];
  }
}

}  // namespace

at::Tensor farthest_points(const at::Tensor& points, std::int64_t count) {
  static_assert(sizeof(Vec3) == 3 * sizeof(float));
  ensure(points.dim() == 3 && points.size(2) == 3 && count >= 1 && count <= points.size(1), "choosing ",
         count, " of points with sizes ", points.sizes());
  const at::Tensor own = points.detach().to(at::kCPU, at::kFloat).contiguous();
  at::Tensor chosen = at::empty({own.size(0), count}, at::kLong);
  const auto* all = reinterpret_cast<const Vec3*>(own.const_data_ptr<float>());
  auto* out = chosen.mutable_data_ptr<std::int64_t>();
  const std::int64_t size = own.size(1);
  parallel_for(own.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) choose(all + b * size, size, count, out + b * count);
  });
  return chosen.to(points.device());
}

}  // namespace omni::tokenizers
