#include "flood_grid.h"

#include "omni/core/parallel.h"

namespace omni::geometry {
namespace {
constexpr std::uint8_t kBlocked = 0, kFree = 1, kReached = 2;
constexpr float kMaximumPointsPerAxis = 320;
}  // namespace

FloodGrid::FloodGrid(const ClosestPointTree& surface, const Bounds& bounds, float epsilon) {
  const Vec3 extent = bounds.extent();
  const float longest = std::max({extent.x, extent.y, extent.z});
  // The margin on both sides takes 12 of the steps.
  step_ = std::max(epsilon / 4, longest / (kMaximumPointsPerAxis - 13));
  epsilon_ = 4 * step_;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    origin_[axis] = bounds.low[axis] - 6 * step_;
    size_[axis] = static_cast<int>(std::ceil(extent[axis] / step_)) + 13;
  }
  state_.resize(std::size_t(size_[0]) * size_[1] * size_[2]);
  mark_free(surface);
  flood();
}

Vec3 FloodGrid::point_of(int x, int y, int z) const {
  return origin_ + Vec3{float(x), float(y), float(z)} * step_;
}

void FloodGrid::mark_free(const ClosestPointTree& surface) {
  parallel_for(size_[2], 1, [&](std::int64_t begin, std::int64_t end) {
    for (int z = static_cast<int>(begin); z < end; ++z) {
      for (int y = 0; y < size_[1]; ++y) {
        for (int x = 0; x < size_[0]; ++x) {
          state_[index(x, y, z)] = surface.any_within(point_of(x, y, z), 0.75f * epsilon_) ? kBlocked : kFree;
        }
      }
    }
  });
}

void FloodGrid::flood() {
  std::vector<std::array<int, 3>> stack;
  const auto visit = [&](int x, int y, int z) {
    if (x < 0 || y < 0 || z < 0 || x >= size_[0] || y >= size_[1] || z >= size_[2]) return;
    std::uint8_t& state = state_[index(x, y, z)];
    if (state != kFree) return;
    state = kReached;
    stack.push_back({x, y, z});
  };
  visit(0, 0, 0);  // the whole border is free: it keeps 1.5 epsilon away from the bounds
  while (!stack.empty()) {
    const auto [x, y, z] = stack.back();
    stack.pop_back();
    visit(x - 1, y, z);
    visit(x + 1, y, z);
    visit(x, y - 1, z);
    visit(x, y + 1, z);
    visit(x, y, z - 1);
    visit(x, y, z + 1);
  }
}

bool FloodGrid::reached(Vec3 point) const {
  int i[3];
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const float at = std::round((point[axis] - origin_[axis]) / step_);
    if (!(at >= 0 && at < static_cast<float>(size_[axis]))) return true;
    i[axis] = static_cast<int>(at);
  }
  return state_[index(i[0], i[1], i[2])] == kReached;
}

}  // namespace omni::geometry
