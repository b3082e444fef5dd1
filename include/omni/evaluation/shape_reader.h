#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "omni/geometry/occupancy_bits.h"

namespace omni::evaluation {

// Tells the class of a shape: that of the nearest known shape by volume IoU.
class ShapeReader {
 public:
  static constexpr int kResolution = 32;

  void add(geometry::OccupancyBits shape, std::string class_name);
  std::size_t size() const { return shapes_.size(); }
  // Ties go to the shape that was added first. `without`: shapes equal to this one are passed over (to read a
  // known shape by its neighbours). "" where no shape is left to compare with.
  std::string class_of(const geometry::OccupancyBits& shape,
                       const geometry::OccupancyBits* without = nullptr) const;

 private:
  std::vector<geometry::OccupancyBits> shapes_;
  std::vector<std::string> classes_;
};

}  // namespace omni::evaluation
