#include "sparse_lattice.h"

#include <algorithm>

#include "lattice_surface.h"

namespace omni::geometry {
namespace {
constexpr std::size_t kBatch = std::size_t{1} << 17;
}

SparseLattice::SparseLattice(const FieldFunction& field, const IsoSurfaceOptions& options)
    : field_(field),
      options_(options),
      factor_(options.coarse_factor),
      cells_((options.resolution + factor_ - 1) / factor_),
      blocks_(options.resolution / factor_ + 1),
      inside_(options.resolution + 1),
      known_(options.resolution + 1),
      block_of_(std::size_t(blocks_) * blocks_ * blocks_, -1),
      refined_(std::size_t(cells_) * cells_ * cells_) {
  evaluate_coarse_points();
  std::vector<Cell> wave = straddling_cells();
  for (int i = 0; i < options.dilation_cells; ++i) dilate(wave);
  for (const Cell& cell : wave) refined_[cell_index(cell)] = true;
  while (!wave.empty()) {
    refine(wave);
    wave = neighbours_across_surface(wave);
  }
  fill_inside_cells();
}

// Coarse points on the border are outside whatever their value: they are asked for only where a cell is
// refined.
void SparseLattice::evaluate_coarse_points() {
  coarse_values_.assign(std::size_t(cells_) * cells_ * cells_, options_.isovalue);
  std::vector<Vec3> points;
  std::vector<std::size_t> slots;
  std::vector<float> values;
  const auto flush = [&] {
    values.resize(points.size());
    if (!points.empty()) field_(points, values);
    field_queries_ += static_cast<std::int64_t>(points.size());
    for (std::size_t i = 0; i < points.size(); ++i) coarse_values_[slots[i]] = values[i];
    points.clear();
    slots.clear();
  };
  for (int z = 1; z < cells_; ++z) {
    for (int y = 1; y < cells_; ++y) {
      for (int x = 1; x < cells_; ++x) {
        points.push_back(lattice_point(options_, x * factor_, y * factor_, z * factor_));
        slots.push_back(cell_index({x, y, z}));
        if (points.size() == kBatch) flush();
      }
    }
  }
  flush();
}

bool SparseLattice::coarse_inside(int x, int y, int z) const {
  if (std::min({x, y, z}) == 0 || std::max({x, y, z}) >= cells_) return false;
  return coarse_values_[cell_index({x, y, z})] > options_.isovalue;
}

std::vector<SparseLattice::Cell> SparseLattice::straddling_cells() const {
  std::vector<Cell> result;
  for (int z = 0; z < cells_; ++z) {
    for (int y = 0; y < cells_; ++y) {
      for (int x = 0; x < cells_; ++x) {
        int inside = 0;
        for (int c = 0; c < 8; ++c) inside += coarse_inside(x + (c & 1), y + (c >> 1 & 1), z + (c >> 2));
        if (inside != 0 && inside != 8) result.push_back({x, y, z});
      }
    }
  }
  return result;
}

void SparseLattice::dilate(std::vector<Cell>& cells) const {
  std::vector<bool> taken(refined_.size());
  for (const Cell& cell : cells) taken[cell_index(cell)] = true;
  const std::size_t original = cells.size();
  for (std::size_t i = 0; i < original; ++i) {
    const Cell center = cells[i];
    for (int offset = 0; offset < 27; ++offset) {
      const Cell next{center[0] + offset % 3 - 1, center[1] + offset / 3 % 3 - 1, center[2] + offset / 9 - 1};
      if (*std::min_element(next.begin(), next.end()) < 0) continue;
      if (*std::max_element(next.begin(), next.end()) >= cells_ || taken[cell_index(next)]) continue;
      taken[cell_index(next)] = true;
      cells.push_back(next);
    }
  }
}

std::array<int, 2> SparseLattice::cell_range(int c) const {
  return {c * factor_, std::min((c + 1) * factor_, options_.resolution)};
}

void SparseLattice::refine(const std::vector<Cell>& cells) {
  for (const Cell& cell : cells) {
    const auto xs = cell_range(cell[0]);
    const auto ys = cell_range(cell[1]);
    const auto zs = cell_range(cell[2]);
    for (int z = zs[0]; z <= zs[1]; ++z) {
      for (int y = ys[0]; y <= ys[1]; ++y) {
        for (int x = xs[0]; x <= xs[1]; ++x) request(x, y, z);
      }
    }
  }
  flush_requests();
}

void SparseLattice::request(int x, int y, int z) {
  if (known_.get(x, y, z)) return;
  known_.set(x, y, z);
  const bool coarse = x % factor_ == 0 && y % factor_ == 0 && z % factor_ == 0;
  if (coarse && !on_border(options_.resolution, x, y, z)) {
    const float value = coarse_values_[cell_index({x / factor_, y / factor_, z / factor_})];
    values_[value_slot(x, y, z)] = value;
    if (value > options_.isovalue) inside_.set(x, y, z);
    return;
  }
  request_points_.push_back(lattice_point(options_, x, y, z));
  request_indices_.push_back({x, y, z});
  if (request_points_.size() == kBatch) flush_requests();
}

void SparseLattice::flush_requests() {
  if (request_points_.empty()) return;
  request_values_.resize(request_points_.size());
  field_(request_points_, request_values_);
  field_queries_ += static_cast<std::int64_t>(request_points_.size());
  for (std::size_t i = 0; i < request_points_.size(); ++i) {
    const auto [x, y, z] = request_indices_[i];
    values_[value_slot(x, y, z)] = request_values_[i];
    if (request_values_[i] > options_.isovalue && !on_border(options_.resolution, x, y, z))
      inside_.set(x, y, z);
  }
  request_points_.clear();
  request_indices_.clear();
}

std::size_t SparseLattice::value_slot(int x, int y, int z) {
  const std::size_t block = (std::size_t(z / factor_) * blocks_ + y / factor_) * blocks_ + x / factor_;
  const std::size_t volume = std::size_t(factor_) * factor_ * factor_;
  if (block_of_[block] < 0) {
    block_of_[block] = static_cast<std::int32_t>(values_.size() / volume);
    values_.resize(values_.size() + volume);
  }
  const int within = ((z % factor_) * factor_ + y % factor_) * factor_ + x % factor_;
  return block_of_[block] * volume + within;
}

float SparseLattice::value(int x, int y, int z) const {
  const std::size_t block = (std::size_t(z / factor_) * blocks_ + y / factor_) * blocks_ + x / factor_;
  const int within = ((z % factor_) * factor_ + y % factor_) * factor_ + x % factor_;
  return values_[block_of_[block] * std::size_t(factor_) * factor_ * factor_ + within];
}

bool SparseLattice::face_is_cut(const Cell& cell, int axis, bool high) const {
  std::array<int, 2> range[3] = {cell_range(cell[0]), cell_range(cell[1]), cell_range(cell[2])};
  range[axis] = {range[axis][high], range[axis][high]};
  const bool first = inside_.get(range[0][0], range[1][0], range[2][0]);
  for (int z = range[2][0]; z <= range[2][1]; ++z) {
    for (int y = range[1][0]; y <= range[1][1]; ++y) {
      for (int x = range[0][0]; x <= range[0][1]; ++x) {
        if (inside_.get(x, y, z) != first) return true;
      }
    }
  }
  return false;
}

// Cells that are not refined yet and share a face with a refined one on which the side changes.
std::vector<SparseLattice::Cell> SparseLattice::neighbours_across_surface(const std::vector<Cell>& cells) {
  std::vector<Cell> result;
  for (const Cell& cell : cells) {
    for (int face = 0; face < 6; ++face) {
      Cell next = cell;
      next[face / 2] += face % 2 == 1 ? 1 : -1;
      if (next[face / 2] < 0 || next[face / 2] >= cells_ || refined_[cell_index(next)]) continue;
      if (!face_is_cut(cell, face / 2, face % 2 == 1)) continue;
      refined_[cell_index(next)] = true;
      result.push_back(next);
    }
  }
  return result;
}

// All points of a cell that was not refined are on the side of its corners.
void SparseLattice::fill_inside_cells() {
  const int n = options_.resolution;
  parallel_for(n, 8, [&](std::int64_t begin, std::int64_t end) {
    for (int z = static_cast<int>(begin); z < end; ++z) {
      for (int y = 0; y < n; ++y) {
        for (int c = 0; c < cells_; ++c) {
          if (!coarse_inside(c, y / factor_, z / factor_)) continue;
          const auto [low, high] = cell_range(c);
          for (int x = low; x < high; ++x) {
            if (!known_.get(x, y, z)) inside_.set(x, y, z);
          }
        }
      }
    }
  });
}

}  // namespace omni::geometry
