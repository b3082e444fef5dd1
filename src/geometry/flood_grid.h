#pragma once

#include "closest_point.h"

namespace omni::geometry {

// What can be reached from far away on a lattice without coming near a surface. The lattice step is a quarter
// of epsilon and the flood keeps three quarters of epsilon away, so that for a point at least epsilon from
// the surface its nearest lattice point (at most 0.22 epsilon away) tells exactly whether it is reached.
class FloodGrid {
 public:
  FloodGrid(const ClosestPointTree& surface, const Bounds& bounds, float epsilon);

  // Of the nearest lattice point; true beyond the lattice.
  bool reached(Vec3 point) const;
  // The distance used: larger than asked for where the lattice would have more than 320 points on an axis.
  float epsilon() const { return epsilon_; }

 private:
  void mark_free(const ClosestPointTree& surface);
  void flood();
  Vec3 point_of(int x, int y, int z) const;
  std::size_t index(int x, int y, int z) const { return (std::size_t(z) * size_[1] + y) * size_[0] + x; }

  float epsilon_;
  float step_;
  Vec3 origin_;
  int size_[3] = {};
  std::vector<std::uint8_t> state_;
};

}  // namespace omni::geometry
