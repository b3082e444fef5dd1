#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "marching_cubes.h"
#include "omni/geometry/iso_surface.h"

namespace omni::geometry {

// A lattice whose values are asked for only beside the surface. Coarse points, `coarse_factor` fine steps
// apart, are evaluated first. Where two neighbours differ, halving finds a fine edge that the surface cuts;
// from there the surface is followed from cell to cell through the faces that it cuts (as in Wyvill,
// McPheeters and Wyvill 1986, "Data structure for soft objects"). All other points are on the side of the
// known points before them on their row. Every edge that joins two sides has known ends.
class SparseLattice {
 public:
  SparseLattice(const FieldFunction& field, const IsoSurfaceOptions& options);

  const InsideBits& inside() const { return inside_; }
  float value(int x, int y, int z) const;  // of a point beside the surface
  std::int64_t field_queries() const { return field_queries_; }

 private:
  using Point = std::array<int, 3>;  // of the fine lattice; also the cell of which it is the low corner
  struct Edge {
    Point low;  // its other end lies along `axis`
    int axis, high;
  };

  void evaluate_coarse_points();
  std::vector<Edge> cut_coarse_edges() const;
  std::vector<Point> cells_at_cuts(std::vector<Edge> edges);
  std::vector<Point> cells_near_surface() const;
  void follow(std::vector<Point> wave);
  void visit_around(const Point& low, int axis, std::vector<Point>& cells);
  bool visit(const Point& cell);
  void fill_unknown();
  std::vector<Point> cells_at_unknown_cuts();

  void request(const Point& point);
  void flush_requests();
  float& slot(const Point& point);
  bool is_coarse(const Point& p) const;
  std::size_t coarse_index(int x, int y, int z) const { return (std::size_t(z) * cells_ + y) * cells_ + x; }
  bool coarse_inside(int x, int y, int z) const;
  int fine(int coarse) const { return std::min(coarse * factor_, options_.resolution); }

  const FieldFunction& field_;
  IsoSurfaceOptions options_;
  int factor_;
  int cells_;   // coarse cells per axis
  int blocks_;  // blocks of factor^3 points per axis
  InsideBits inside_, known_, visited_;
  std::vector<std::int32_t> block_of_;  // -1 where no value is stored
  std::vector<float> values_;
  std::vector<float> coarse_values_;  // at coarse points off the border
  std::int64_t field_queries_ = 0;
  std::vector<Vec3> request_points_;
  std::vector<Point> request_indices_;
  std::vector<float> request_values_;
};

}  // namespace omni::geometry
