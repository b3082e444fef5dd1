#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "omni/geometry/mesh.h"

namespace omni::geometry {

// Field values at points; positive inside. Called with batches of points.
using FieldFunction = std::function<void(std::span<const Vec3> points, std::span<float> values)>;

struct IsoSurfaceOptions {
  int resolution = 64;  // cells per axis over [-half_extent, half_extent]^3
  float half_extent = 1.05f;
  float isovalue = 0;
  int coarse_factor = 4;  // a coarse cell is this many fine cells wide; 1 evaluates the dense grid
};

struct IsoSurfaceResult {
  Mesh mesh;  // closed, oriented, manifold; empty if the field is nowhere inside
  std::int64_t field_queries = 0;
};

// Marching cubes (Lorensen and Cline 1987) with one consistent table: ambiguous faces always separate the
// inside corners, so neighbouring cells agree and the mesh is closed. Values on the border count as outside.
IsoSurfaceResult extract_iso_surface(const FieldFunction& field, const IsoSurfaceOptions& options);

}  // namespace omni::geometry
