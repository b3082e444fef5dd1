#include "omni/geometry/occupancy_bits.h"

#include <bit>

#include "cell_grid.h"
#include "omni/core/error.h"

namespace omni::geometry {

OccupancyBits::OccupancyBits(const SolidField& field, int resolution, float half_extent)
    : resolution_(resolution), half_extent_(half_extent) {
  check_grid(resolution, half_extent, 1);
  const auto n = static_cast<std::size_t>(resolution);
  words_.assign((n * n * n + 63) / 64, 0);
  std::vector<Vec3> points;
  std::vector<std::uint8_t> inside(n * n);
  for (int z = 0; z < resolution; ++z) {
    layer_points(z, resolution, half_extent, points);
    field.occupancy(points, inside);
    const std::size_t first = static_cast<std::size_t>(z) * n * n;
    for (std::size_t i = 0; i < inside.size(); ++i) {
      if (inside[i] != 0) words_[(first + i) / 64] |= std::uint64_t{1} << ((first + i) % 64);
    }
  }
}

bool OccupancyBits::inside(int x, int y, int z) const {
  const auto n = static_cast<std::size_t>(resolution_);
  const std::size_t cell =
      (static_cast<std::size_t>(z) * n + static_cast<std::size_t>(y)) * n + static_cast<std::size_t>(x);
  return (words_[cell / 64] >> (cell % 64) & 1) != 0;
}

std::int64_t OccupancyBits::count() const {
  std::int64_t cells = 0;
  for (const std::uint64_t word : words_) cells += std::popcount(word);
  return cells;
}

double intersection_over_union(const OccupancyBits& a, const OccupancyBits& b) {
  ensure(a.words_.size() == b.words_.size(), "occupancies of different resolutions are compared");
  std::int64_t both = 0, either = 0;
  for (std::size_t i = 0; i < a.words_.size(); ++i) {
    both += std::popcount(a.words_[i] & b.words_[i]);
    either += std::popcount(a.words_[i] | b.words_[i]);
  }
  return either == 0 ? 1.0 : static_cast<double>(both) / static_cast<double>(either);
}

}  // namespace omni::geometry
