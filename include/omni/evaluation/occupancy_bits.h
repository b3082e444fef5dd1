#pragma once

#include <cstdint>
#include <vector>

#include "omni/geometry/solid_field.h"

namespace omni::evaluation {

// Inside or outside at resolution^3 cell centres over [-half_extent, half_extent]^3, one bit each: sampled
// once, compared often. Works on the calling thread.
class OccupancyBits {
 public:
  OccupancyBits() = default;
  OccupancyBits(const geometry::SolidField& field, int resolution, float half_extent = 1.0f);

  std::int64_t count() const;  // cells inside
  bool empty() const { return count() == 0; }
  friend bool operator==(const OccupancyBits&, const OccupancyBits&) = default;
  // Intersection over union, as geometry::volume_iou; two empty shapes give 1. Same resolution needed.
  friend double intersection_over_union(const OccupancyBits& a, const OccupancyBits& b);

 private:
  std::vector<std::uint64_t> words_;
};
double intersection_over_union(const OccupancyBits& a, const OccupancyBits& b);

}  // namespace omni::evaluation
