#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "omni/geometry/vector3.h"

namespace omni::geometry {

// Anything that can say of points in the normalised frame whether they are inside, and what colour is there:
// the closed form of a procedural object, a labelled mesh, a decoded shape. Thread-safe for concurrent calls.
class SolidField {
 public:
  virtual ~SolidField() = default;
  // inside[i] becomes 1 or 0.
  virtual void occupancy(std::span<const Vec3> points, std::span<std::uint8_t> inside) const = 0;
  // sRGB, 0 .. 1: the colour of the nearest surface. Defined for every point.
  virtual void colour(std::span<const Vec3> points, std::span<Vec3> colours) const = 0;
};

// A cube of resolution^3 cells over [-half_extent, half_extent]^3; cell (x, y, z) is at (z * n + y) * n + x.
// Values belong to cell centres.
struct VoxelGrid {
  int resolution = 0;
  float half_extent = 1.0f;
  std::vector<float> occupancy;       // share of the cell inside, 0 .. 1
  std::vector<std::uint8_t> colours;  // 3 per cell, sRGB; of the nearest surface

  Vec3 cell_centre(int x, int y, int z) const;
};

// Samples `samples_per_axis`^3 points in each cell. Throws Error(usage) for a resolution outside 1 .. 1024,
// samples outside 1 .. 16 and a half extent that is not positive.
VoxelGrid voxelise(const SolidField& field, int resolution, float half_extent, int samples_per_axis = 1);

// Volume intersection over union of two fields on a grid of resolution^3 points over [-half_extent,
// half_extent]^3. Two empty shapes give 1.
double volume_iou(const SolidField& a, const SolidField& b, int resolution = 64, float half_extent = 1.0f);

}  // namespace omni::geometry
