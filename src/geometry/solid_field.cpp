#include "omni/geometry/solid_field.h"

#include <atomic>

#include "cell_grid.h"
#include "omni/core/parallel.h"

namespace omni::geometry {
namespace {

std::uint8_t to_byte(float value) {
  return static_cast<std::uint8_t>(std::clamp(value, 0.0f, 1.0f) * 255.0f + 0.5f);
}

void voxelise_layer(const SolidField& field, int samples, int z, VoxelGrid& grid) {
  const int n = grid.resolution;
  const int fine = n * samples;
  const float weight = 1.0f / static_cast<float>(samples * samples * samples);
  std::vector<Vec3> points;
  std::vector<std::uint8_t> inside(std::size_t(fine) * fine);
  float* shares = grid.occupancy.data() + std::size_t(z) * n * n;
  for (int k = 0; k < samples; ++k) {
    layer_points(z * samples + k, fine, grid.half_extent, points);
    field.occupancy(points, inside);
    for (int y = 0; y < fine; ++y) {
      for (int x = 0; x < fine; ++x) {
        shares[(y / samples) * n + x / samples] += inside[std::size_t(y) * fine + x] != 0 ? 1.0f : 0.0f;
      }
    }
  }
  for (int i = 0; i < n * n; ++i) shares[i] *= weight;
  layer_points(z, n, grid.half_extent, points);
  std::vector<Vec3> colours(points.size());
  field.colour(points, colours);
  std::uint8_t* out = grid.colours.data() + std::size_t(z) * n * n * 3;
  for (const Vec3& colour : colours) {
    for (std::size_t channel = 0; channel < 3; ++channel) *out++ = to_byte(colour[channel]);
  }
}

}  // namespace

Vec3 VoxelGrid::cell_centre(int x, int y, int z) const {
  return {cell_coordinate(x, resolution, half_extent), cell_coordinate(y, resolution, half_extent),
          cell_coordinate(z, resolution, half_extent)};
}

VoxelGrid voxelise(const SolidField& field, int resolution, float half_extent, int samples_per_axis) {
  check_grid(resolution, half_extent, samples_per_axis);
  VoxelGrid grid;
  grid.resolution = resolution;
  grid.half_extent = half_extent;
  const std::size_t cells = std::size_t(resolution) * resolution * resolution;
  grid.occupancy.resize(cells);
  grid.colours.resize(cells * 3);
  parallel_for(resolution, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t z = begin; z < end; ++z) voxelise_layer(field, samples_per_axis, int(z), grid);
  });
  return grid;
}

double volume_iou(const SolidField& a, const SolidField& b, int resolution, float half_extent) {
  check_grid(resolution, half_extent, 1);
  std::atomic<std::int64_t> both{0}, either{0};
  parallel_for(resolution, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<Vec3> points;
    std::vector<std::uint8_t> in_a(std::size_t(resolution) * resolution), in_b(in_a.size());
    for (std::int64_t z = begin; z < end; ++z) {
      layer_points(int(z), resolution, half_extent, points);
      a.occupancy(points, in_a);
      b.occupancy(points, in_b);
      std::int64_t layer_both = 0, layer_either = 0;
      for (std::size_t i = 0; i < points.size(); ++i) {
        layer_both += (in_a[i] & in_b[i]) != 0;
        layer_either += (in_a[i] | in_b[i]) != 0;
      }
      both += layer_both;
      either += layer_either;
    }
  });
  return either == 0 ? 1.0 : static_cast<double>(both) / static_cast<double>(either);
}

}  // namespace omni::geometry
