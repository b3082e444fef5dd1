#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "omni/geometry/mesh.h"

namespace omni::geometry {

// Field values at points; positive inside. Called with batches of points, from one thread at a time.
using FieldFunction = std::function<void(std::span<const Vec3> points, std::span<float> values)>;

struct IsoSurfaceOptions {
  int resolution = 64;  // cells per axis over [-half_extent, half_extent]^3
  float half_extent = 1.05f;
  float isovalue = 0;     // inside is strictly above; NaN is outside
  int coarse_factor = 4;  // a coarse cell is this many fine cells wide; 1 evaluates the dense grid
  // 0 asks for values beside the surface alone. n evaluates the coarse cells that the surface crosses as a
  // whole, with n - 1 more around them: finds small parts there, too, at several times the field queries.
  int dilation_cells = 0;
};

struct IsoSurfaceResult {
  Mesh mesh;  // closed, oriented, manifold; empty if the field is nowhere inside
  std::int64_t field_queries = 0;
};

// Marching cubes (Lorensen and Cline 1987) with one consistent table: ambiguous faces always separate the
// inside corners, so neighbouring cells agree and the mesh is closed. Points on the border count as outside.
// Coarse to fine: the coarse lattice first; where neighbours on it differ the surface is found and followed
// from cell to cell. A part of the surface that no two neighbouring coarse points enclose and that does not
// hang together with any other is missed; elsewhere the mesh is that of the dense grid, bit for bit. Throws
// Error(usage) for a resolution outside 2 .. 2048 (dense: 1024) or other options out of range.
IsoSurfaceResult extract_iso_surface(const FieldFunction& field, const IsoSurfaceOptions& options);

// The same from given values at the (resolution + 1)^3 lattice points, x fastest; coarse_factor is not used.
Mesh extract_iso_surface(std::span<const float> values, const IsoSurfaceOptions& options);

// The lattice point (x, y, z) of 0 .. resolution each.
Vec3 lattice_point(const IsoSurfaceOptions& options, int x, int y, int z);

}  // namespace omni::geometry
