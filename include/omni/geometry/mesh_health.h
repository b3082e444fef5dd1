#pragma once

#include <cstdint>

#include "omni/geometry/mesh.h"

namespace omni::geometry {

struct MeshHealth {
  std::int64_t vertices = 0, triangles = 0;
  std::int64_t boundary_edges = 0;         // used by one triangle
  std::int64_t non_manifold_edges = 0;     // used by more than two
  std::int64_t misoriented_edges = 0;      // used by two that disagree on the direction
  std::int64_t non_manifold_vertices = 0;  // whose triangles form more than one fan
  std::int64_t degenerate_triangles = 0;   // zero area or repeated vertices
  std::int64_t components = 0;             // of triangles whose vertices differ
  double volume = 0, area = 0;

  bool closed() const { return components > 0 && boundary_edges == 0; }
  bool manifold() const {
    return non_manifold_edges == 0 && misoriented_edges == 0 && non_manifold_vertices == 0;
  }
  bool healthy() const { return closed() && manifold(); }
};

// Vertices at bit-equal positions count as one, as glTF splits them for colours and normals.
MeshHealth inspect(const Mesh& mesh);

// Triangles that others run through. Contact alone (shared vertices and edges, coplanar overlap, touching)
// does not count. Slower than inspect(): n log n, on all cores.
std::int64_t count_self_intersections(const Mesh& mesh);

}  // namespace omni::geometry
