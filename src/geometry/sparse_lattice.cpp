#include "sparse_lattice.h"

#include <algorithm>

#include "lattice_surface.h"

namespace omni::geometry {
namespace {

constexpr std::size_t kBatch = std::size_t{1} << 17;
// Corners of a cell (bit 0: high x, bit 1: high y, bit 2: high z) on its low and high face along each axis.
constexpr unsigned kFaceCorners[3][2] = {{0x55, 0xaa}, {0x33, 0xcc}, {0x0f, 0xf0}};

bool mixed(unsigned corners, unsigned of) { return (corners & of) != 0 && (corners & of) != of; }

}  // namespace

SparseLattice::SparseLattice(const FieldFunction& field, const IsoSurfaceOptions& options)
    : field_(field),
      options_(options),
      factor_(options.coarse_factor),
      cells_((options.resolution + factor_ - 1) / factor_),
      blocks_(options.resolution / factor_ + 1),
      inside_(options.resolution + 1),
      known_(options.resolution + 1),
      visited_(options.resolution + 1),
      block_of_(std::size_t(blocks_) * blocks_ * blocks_, -1) {
  evaluate_coarse_points();
  std::vector<Point> seeds = cells_at_cuts(cut_coarse_edges());
  for (const Point& cell : cells_near_surface())
    if (visit(cell)) seeds.push_back(cell);
  // A second round is needed only where the row of an unknown point misleads, as between two sheets of which
  // one alone has been found.
  while (!seeds.empty()) {
    follow(std::move(seeds));
    fill_unknown();
    seeds = cells_at_unknown_cuts();
  }
}

// Coarse points on the border are outside whatever their value: they are asked for only where the surface
// ends there.
void SparseLattice::evaluate_coarse_points() {
  coarse_values_.assign(std::size_t(cells_) * cells_ * cells_, options_.isovalue);
  for (int z = 1; z < cells_; ++z) {
    for (int y = 1; y < cells_; ++y) {
      for (int x = 1; x < cells_; ++x) request({x * factor_, y * factor_, z * factor_});
    }
  }
  flush_requests();
}

bool SparseLattice::is_coarse(const Point& p) const {
  return p[0] % factor_ == 0 && p[1] % factor_ == 0 && p[2] % factor_ == 0 &&
         !on_border(options_.resolution, p[0], p[1], p[2]);
}

bool SparseLattice::coarse_inside(int x, int y, int z) const {
  return inside_.get(fine(x), fine(y), fine(z));
}

std::vector<SparseLattice::Edge> SparseLattice::cut_coarse_edges() const {
  std::vector<Edge> edges;
  for (int z = 0; z <= cells_; ++z) {
    for (int y = 0; y <= cells_; ++y) {
      for (int x = 0; x <= cells_; ++x) {
        const bool here = coarse_inside(x, y, z);
        const int at[3] = {x, y, z};
        for (int axis = 0; axis < 3; ++axis) {
          if (at[axis] == cells_) continue;
          if (here == coarse_inside(x + (axis == 0), y + (axis == 1), z + (axis == 2))) continue;
          edges.push_back({{fine(x), fine(y), fine(z)}, axis, fine(at[axis] + 1)});
        }
      }
    }
  }
  return edges;
}

// Halves each edge, whose ends differ, until it is one fine step long; the cells around what is left.
std::vector<SparseLattice::Point> SparseLattice::cells_at_cuts(std::vector<Edge> edges) {
  const auto middle_of = [](const Edge& edge) {
    Point middle = edge.low;
    middle[edge.axis] += (edge.high - edge.low[edge.axis]) / 2;
    return middle;
  };
  const auto is_inside = [&](const Point& p) { return inside_.get(p[0], p[1], p[2]); };
  for (int length = factor_; length > 1; length = (length + 1) / 2) {
    for (const Edge& edge : edges)
      if (edge.high - edge.low[edge.axis] > 1) request(middle_of(edge));
    flush_requests();
    for (Edge& edge : edges) {
      if (edge.high - edge.low[edge.axis] <= 1) continue;
      const Point middle = middle_of(edge);
      if (is_inside(middle) == is_inside(edge.low))
        edge.low = middle;
      else
        edge.high = middle[edge.axis];
    }
  }
  std::vector<Point> cells;
  for (const Edge& edge : edges) visit_around(edge.low, edge.axis, cells);
  return cells;
}

// The fine cells of all coarse cells within dilation_cells of one whose corners differ.
std::vector<SparseLattice::Point> SparseLattice::cells_near_surface() const {
  std::vector<Point> result;
  const int reach = options_.dilation_cells;
  if (reach == 0) return result;
  std::vector<bool> near(std::size_t(cells_) * cells_ * cells_);
  const auto range = [&](int c) {
    return std::array{std::max(0, c - reach + 1), std::min(cells_, c + reach)};
  };
  for (int z = 0; z < cells_; ++z) {
    for (int y = 0; y < cells_; ++y) {
      for (int x = 0; x < cells_; ++x) {
        int inside = 0;
        for (int c = 0; c < 8; ++c) inside += coarse_inside(x + (c & 1), y + (c >> 1 & 1), z + (c >> 2));
        if (inside == 0 || inside == 8) continue;
        const auto xs = range(x), ys = range(y), zs = range(z);
        for (int k = zs[0]; k < zs[1]; ++k)
          for (int j = ys[0]; j < ys[1]; ++j)
            for (int i = xs[0]; i < xs[1]; ++i) near[coarse_index(i, j, k)] = true;
      }
    }
  }
  for (int z = 0; z < options_.resolution; ++z)
    for (int y = 0; y < options_.resolution; ++y)
      for (int x = 0; x < options_.resolution; ++x)
        if (near[coarse_index(x / factor_, y / factor_, z / factor_)]) result.push_back({x, y, z});
  return result;
}

bool SparseLattice::visit(const Point& cell) {
  for (const int i : cell)
    if (i < 0 || i >= options_.resolution) return false;
  if (visited_.get(cell[0], cell[1], cell[2])) return false;
  visited_.assign(cell[0], cell[1], cell[2], true);
  return true;
}

// Adds those of the four cells around an edge that are new.
void SparseLattice::visit_around(const Point& low, int axis, std::vector<Point>& cells) {
  for (int side = 0; side < 4; ++side) {
    Point cell = low;
    cell[(axis + 1) % 3] -= side & 1;
    cell[(axis + 2) % 3] -= side >> 1;
    if (visit(cell)) cells.push_back(cell);
  }
}

// Evaluates the corners of visited cells, then goes on to the cells beyond each face that the surface cuts.
void SparseLattice::follow(std::vector<Point> wave) {
  const auto corner = [](const Point& cell, unsigned c) {
    return Point{cell[0] + int(c & 1), cell[1] + int(c >> 1 & 1), cell[2] + int(c >> 2)};
  };
  while (!wave.empty()) {
    for (const Point& cell : wave)
      for (unsigned c = 0; c < 8; ++c) request(corner(cell, c));
    flush_requests();
    std::vector<Point> next;
    for (const Point& cell : wave) {
      unsigned corners = 0;
      for (unsigned c = 0; c < 8; ++c) {
        const Point p = corner(cell, c);
        corners |= static_cast<unsigned>(inside_.get(p[0], p[1], p[2])) << c;
      }
      for (int axis = 0; axis < 3; ++axis) {
        for (int high = 0; high < 2; ++high) {
          if (!mixed(corners, kFaceCorners[axis][high])) continue;
          Point beyond = cell;
          beyond[axis] += high ? 1 : -1;
          if (visit(beyond)) next.push_back(beyond);
        }
      }
    }
    wave = std::move(next);
  }
}

// Rows begin outside, at the border.
void SparseLattice::fill_unknown() {
  const int n = options_.resolution;
  parallel_for(n - 1, 8, [&](std::int64_t begin, std::int64_t end) {
    for (int z = static_cast<int>(begin) + 1; z <= static_cast<int>(end); ++z) {
      for (int y = 1; y < n; ++y) {
        std::uint64_t* row = inside_.row(y, z);
        const std::uint64_t* known = known_.row(y, z);
        std::uint64_t side = 0;  // of the last known point, in every bit
        for (int word = 0; word < inside_.words_per_row(); ++word) {
          std::uint64_t filled = row[word] & known[word];
          int from = 0;
          for (std::uint64_t bits = known[word]; bits != 0; bits &= bits - 1) {
            const int at = std::countr_zero(bits);
            filled |= side & ((std::uint64_t{1} << at) - 1) & (~std::uint64_t{0} << from);
            side = (row[word] >> at & 1) != 0 ? ~std::uint64_t{0} : 0;
            from = at + 1;
          }
          if (from < 64) filled |= side & (~std::uint64_t{0} << from);
          row[word] = filled;
        }
        const int last = n % 64;
        row[n / 64] &= (std::uint64_t{1} << last) - 1;  // the border is outside, and so is what lies beyond
      }
    }
  });
}

std::vector<SparseLattice::Point> SparseLattice::cells_at_unknown_cuts() {
  const int n = options_.resolution;
  std::vector<Point> cells;
  for (int z = 0; z < n; ++z) {
    for (int y = 0; y < n; ++y) {
      for (int word = 0; word < inside_.words_per_row(); ++word) {
        const auto shifted = [&](const InsideBits& bits) {
          const std::uint64_t carry = word + 1 < bits.words_per_row() ? bits.row(y, z)[word + 1] << 63 : 0;
          return bits.row(y, z)[word] >> 1 | carry;
        };
        const std::uint64_t here = inside_.row(y, z)[word], known = known_.row(y, z)[word];
        const std::uint64_t cuts[3] = {
            (here ^ shifted(inside_)) & ~(known & shifted(known_)),
            (here ^ inside_.row(y + 1, z)[word]) & ~(known & known_.row(y + 1, z)[word]),
            (here ^ inside_.row(y, z + 1)[word]) & ~(known & known_.row(y, z + 1)[word])};
        for (int axis = 0; axis < 3; ++axis)
          for (std::uint64_t bits = cuts[axis]; bits != 0; bits &= bits - 1)
            visit_around({word * 64 + std::countr_zero(bits), y, z}, axis, cells);
      }
    }
  }
  return cells;
}

void SparseLattice::request(const Point& point) {
  const auto [x, y, z] = point;
  if (known_.get(x, y, z)) return;
  known_.set(x, y, z);
  request_points_.push_back(lattice_point(options_, x, y, z));
  request_indices_.push_back(point);
  if (request_points_.size() == kBatch) flush_requests();
}

void SparseLattice::flush_requests() {
  if (request_points_.empty()) return;
  request_values_.resize(request_points_.size());
  field_(request_points_, request_values_);
  field_queries_ += static_cast<std::int64_t>(request_points_.size());
  for (std::size_t i = 0; i < request_points_.size(); ++i) {
    const Point& p = request_indices_[i];
    slot(p) = request_values_[i];
    inside_.assign(
        p[0], p[1], p[2],
        request_values_[i] > options_.isovalue && !on_border(options_.resolution, p[0], p[1], p[2]));
  }
  request_points_.clear();
  request_indices_.clear();
}

float& SparseLattice::slot(const Point& p) {
  if (is_coarse(p)) return coarse_values_[coarse_index(p[0] / factor_, p[1] / factor_, p[2] / factor_)];
  const std::size_t block =
      (std::size_t(p[2] / factor_) * blocks_ + p[1] / factor_) * blocks_ + p[0] / factor_;
  const std::size_t volume = std::size_t(factor_) * factor_ * factor_;
  if (block_of_[block] < 0) {
    block_of_[block] = static_cast<std::int32_t>(values_.size() / volume);
    values_.resize(values_.size() + volume);
  }
  const int within = ((p[2] % factor_) * factor_ + p[1] % factor_) * factor_ + p[0] % factor_;
  return values_[block_of_[block] * volume + within];
}

float SparseLattice::value(int x, int y, int z) const {
  if (is_coarse({x, y, z})) return coarse_values_[coarse_index(x / factor_, y / factor_, z / factor_)];
  const std::size_t block = (std::size_t(z / factor_) * blocks_ + y / factor_) * blocks_ + x / factor_;
  const int within = ((z % factor_) * factor_ + y % factor_) * factor_ + x % factor_;
  return values_[block_of_[block] * std::size_t(factor_) * factor_ * factor_ + within];
}

}  // namespace omni::geometry
