#pragma once

#include <cstdint>
#include <vector>

#include "omni/geometry/solid_field.h"

namespace omni::geometry {

// Inside or outside at resolution^3 cell centres over [-half_extent, half_extent]^3, one bit each: sampled
// once, compared often. Works on the calling thread.
class OccupancyBits {
 public:
  OccupancyBits() = default;
  // Throws Error(usage) for a resolution beyond 1 .. 1024 or a half extent that is not positive.
  OccupancyBits(const SolidField& field, int resolution, float half_extent = 1.0f);

  int resolution() const { return resolution_; }
  float half_extent() const { return half_extent_; }
  bool inside(int x, int y, int z) const;
  std::int64_t count() const;  // cells inside
  bool empty() const { return count() == 0; }
  friend bool operator==(const OccupancyBits&, const OccupancyBits&) = default;
  // Intersection over union, as volume_iou; two empty shapes give 1. Same resolution needed.
  friend double intersection_over_union(const OccupancyBits& a, const OccupancyBits& b);

 private:
  int resolution_ = 0;
  float half_extent_ = 1;
  std::vector<std::uint64_t> words_;
};
double intersection_over_union(const OccupancyBits& a, const OccupancyBits& b);

}  // namespace omni::geometry
