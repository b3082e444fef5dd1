#include "omni/tokenizers/shape_sample.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "omni/core/shuffle.h"

namespace omni::tokenizers {
namespace {

using geometry::Vec3;

// Layer by layer on the calling thread.
geometry::VoxelGrid occupancy_grid(const geometry::SolidField& field, const ShapeInput& input) {
  const int n = input.grid_resolution, samples = std::max(1, input.grid_samples_per_axis);
  geometry::VoxelGrid grid;
  grid.resolution = n;
  grid.half_extent = input.grid_half_extent;
  const std::size_t layer = static_cast<std::size_t>(n) * n;
  const auto per_cell = static_cast<std::size_t>(samples) * samples * samples;
  const float cell = 2 * input.grid_half_extent / static_cast<float>(n);
  const auto shift = [&](int i) {
    return (static_cast<float>(i) + 0.5f) / static_cast<float>(samples) - 0.5f;
  };
  grid.occupancy.resize(layer * n);
  grid.colours.assign(layer * n * 3, 255);
  std::vector<Vec3> points(layer * per_cell);
  std::vector<std::uint8_t> inside(points.size());
  for (int z = 0; z < n; ++z) {
    std::size_t next = 0;
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x)
        for (int k = 0; k < samples; ++k)
          for (int j = 0; j < samples; ++j)
            for (int i = 0; i < samples; ++i)
              points[next++] = grid.cell_centre(x, y, z) + cell * Vec3{shift(i), shift(j), shift(k)};
    field.occupancy(points, inside);
    for (std::size_t i = 0; i < layer; ++i) {
      int count = 0;
      for (std::size_t k = 0; k < per_cell; ++k) count += inside[i * per_cell + k];
      grid.occupancy[z * layer + i] = static_cast<float>(count) / static_cast<float>(per_cell);
    }
  }
  return grid;
}

// Cells one of whose six neighbours is on the other side of the surface; beyond the border is outside.
std::vector<std::size_t> cells_at_surface(const geometry::VoxelGrid& grid) {
  const int n = grid.resolution;
  const auto inside = [&](int x, int y, int z) {
    if (x < 0 || y < 0 || z < 0 || x >= n || y >= n || z >= n) return false;
    return grid.occupancy[(static_cast<std::size_t>(z) * n + y) * n + x] > 0.5f;
  };
  std::vector<std::size_t> cells;
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) {
        const bool self = inside(x, y, z);
        if (inside(x - 1, y, z) != self || inside(x + 1, y, z) != self || inside(x, y - 1, z) != self ||
            inside(x, y + 1, z) != self || inside(x, y, z - 1) != self || inside(x, y, z + 1) != self)
          cells.push_back((static_cast<std::size_t>(z) * n + y) * n + x);
      }
  return cells;
}

void colour_surface_cells(const geometry::SolidField& field, geometry::VoxelGrid& grid) {
  const int n = grid.resolution;
  const std::vector<std::size_t> cells = cells_at_surface(grid);
  std::vector<Vec3> points, colours(cells.size());
  points.reserve(cells.size());
  for (const std::size_t cell : cells) {
    const int i = static_cast<int>(cell);
    points.push_back(grid.cell_centre(i % n, i / n % n, i / (n * n)));
  }
  field.colour(points, colours);
  for (std::size_t k = 0; k < cells.size(); ++k)
    for (std::size_t channel = 0; channel < 3; ++channel)
      grid.colours[cells[k] * 3 + channel] =
          static_cast<std::uint8_t>(std::clamp(colours[k][channel], 0.0f, 1.0f) * 255 + 0.5f);
}

using Draw = std::function<geometry::SurfacePoints(std::size_t count)>;

// Appends `count` of the points that `draw` gives and that are not buried in the solid; none where it gives
// none.
void append_visible(const Draw& draw, const geometry::SolidField& field, std::size_t count,
                    geometry::SurfacePoints& kept) {
  constexpr float kOffset = 0.01f;  // above the error of a tessellation
  constexpr int kRounds = 16;
  const std::size_t wanted = kept.positions.size() + count;
  for (int round = 0; round < kRounds && kept.positions.size() < wanted; ++round) {
    const geometry::SurfacePoints drawn = draw(count);
    if (drawn.positions.empty()) return;
    std::vector<Vec3> outside;
    for (std::size_t i = 0; i < drawn.positions.size(); ++i)
      outside.push_back(drawn.positions[i] + drawn.normals[i] * kOffset);
    std::vector<std::uint8_t> buried(outside.size());
    field.occupancy(outside, buried);
    for (std::size_t i = 0; i < drawn.positions.size() && kept.positions.size() < wanted; ++i) {
      // The last round takes what it gets, so that the count holds whatever the mesh is.
      if (buried[i] && round + 1 < kRounds) continue;
      kept.positions.push_back(drawn.positions[i]);
      kept.normals.push_back(drawn.normals[i]);
      kept.colours.push_back(drawn.colours[i]);
    }
  }
}

void append(const geometry::SurfacePoints& points, geometry::SurfacePoints& all) {
  all.positions.insert(all.positions.end(), points.positions.begin(), points.positions.end());
  all.normals.insert(all.normals.end(), points.normals.begin(), points.normals.end());
  all.colours.insert(all.colours.end(), points.colours.begin(), points.colours.end());
}

geometry::SurfacePoints shuffled(const geometry::SurfacePoints& points, CounterRng& rng) {
  std::vector<std::size_t> order(points.positions.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  shuffle(std::span(order), rng);
  geometry::SurfacePoints result;
  for (const std::size_t i : order) {
    result.positions.push_back(points.positions[i]);
    result.normals.push_back(points.normals[i]);
    result.colours.push_back(points.colours[i]);
  }
  return result;
}

geometry::SurfacePoints surface_points(const geometry::Mesh& mesh, const geometry::SolidField& field,
                                       const ShapeInput& input, CounterRng& rng, MeshSurface surface) {
  const auto count = static_cast<std::size_t>(input.surface_points);
  const auto sharp = static_cast<std::size_t>(static_cast<double>(count) * input.sharp_edge_share);
  const Draw on_edges = [&](std::size_t n) { return geometry::sample_sharp_edges(mesh, n, rng); };
  const Draw on_faces = [&](std::size_t n) { return geometry::sample_surface(mesh, n, rng); };
  geometry::SurfacePoints points;
  const auto add = [&](const Draw& draw, std::size_t n) {
    if (n == 0) return;
    if (surface == MeshSurface::partly_buried)
      append_visible(draw, field, n, points);
    else
      append(draw(n), points);
  };
  add(on_edges, sharp);
  add(on_faces, count - points.positions.size());
  return sharp > 0 ? shuffled(points, rng) : points;  // any part of them then holds both kinds
}

}  // namespace

ShapeSample make_shape_sample(const geometry::Mesh& mesh, const geometry::SolidField& field,
                              const ShapeInput& input, CounterRng rng, MeshSurface surface) {
  ShapeSample sample;
  if (input.grid_resolution > 0) {
    sample.grid = occupancy_grid(field, input);
    colour_surface_cells(field, sample.grid);
  }
  if (input.surface_points > 0) sample.surface = surface_points(mesh, field, input, rng, surface);
  return sample;
}

}  // namespace omni::tokenizers
