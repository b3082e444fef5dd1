#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "omni/geometry/vector3.h"

namespace omni::geometry {

// A balanced k-d tree over points (Bentley 1975) for exact nearest neighbours. Thread-safe; copies the
// points.
class PointTree {
 public:
  explicit PointTree(std::span<const Vec3> points);  // at least one point

  struct Neighbour {
    std::uint32_t index = 0;  // into the points given
    float squared_distance = 0;
  };
  Neighbour nearest(Vec3 query) const;

 private:
  struct Entry {
    Vec3 position;
    std::uint32_t index;
  };
  void build(std::size_t begin, std::size_t end);
  void search(std::size_t begin, std::size_t end, Vec3 query, Neighbour& best) const;

  static constexpr std::size_t kLeafPoints = 8;
  std::vector<Entry> entries_;
  std::vector<std::uint8_t> axis_;  // by which the range with this middle is split
};

}  // namespace omni::geometry
