#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "marching_cubes.h"
#include "omni/geometry/iso_surface.h"

namespace omni::geometry {

// A lattice whose values are asked for only near the surface. Coarse cells of `coarse_factor` fine cells are
// refined as a whole; refining spreads to any neighbour into which the surface continues.
class SparseLattice {
 public:
  SparseLattice(const FieldFunction& field, const IsoSurfaceOptions& options);

  const InsideBits& inside() const { return inside_; }
  float value(int x, int y, int z) const;  // of a refined point
  std::int64_t field_queries() const { return field_queries_; }

 private:
  using Cell = std::array<int, 3>;

  void evaluate_coarse_points();
  std::vector<Cell> straddling_cells() const;
  void dilate(std::vector<Cell>& cells) const;
  void refine(const std::vector<Cell>& cells);
  std::vector<Cell> neighbours_across_surface(const std::vector<Cell>& cells);
  bool face_is_cut(const Cell& cell, int axis, bool high) const;
  void fill_inside_cells();

  void request(int x, int y, int z);
  void flush_requests();
  std::size_t cell_index(const Cell& c) const { return (std::size_t(c[2]) * cells_ + c[1]) * cells_ + c[0]; }
  std::size_t value_slot(int x, int y, int z);
  bool coarse_inside(int x, int y, int z) const;
  std::array<int, 2> cell_range(int c) const;

  const FieldFunction& field_;
  IsoSurfaceOptions options_;
  int factor_;
  int cells_;   // coarse cells per axis
  int blocks_;  // blocks of factor^3 points per axis
  InsideBits inside_;
  InsideBits known_;
  std::vector<std::int32_t> block_of_;  // -1 where no value is stored
  std::vector<float> values_;
  std::vector<float> coarse_values_;
  std::vector<bool> refined_;
  std::int64_t field_queries_ = 0;
  std::vector<Vec3> request_points_;
  std::vector<std::array<std::int32_t, 3>> request_indices_;
  std::vector<float> request_values_;
};

}  // namespace omni::geometry
