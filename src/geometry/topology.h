#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "omni/geometry/mesh.h"
#include "weld.h"

namespace omni::geometry {

// A directed side of a triangle between welded vertices.
struct HalfEdge {
  // Smaller vertex, larger vertex, and in the lowest bit whether it runs from the larger.
  std::uint64_t key = 0;
  std::uint32_t corner = 0;  // 3 * triangle + the corner that it starts from

  std::uint64_t edge() const { return key >> 1; }
  bool reversed() const { return (key & 1) != 0; }
};

// The mesh's triangles by welded vertices. Throws Error(input) if one names a vertex that does not exist.
std::vector<std::array<std::uint32_t, 3>> welded_triangles(const Mesh& mesh, const Weld& weld);

// Triangles over welded vertices and their half-edges, sorted so that those of one edge follow each other.
struct Topology {
  Weld weld;
  // Of welded vertices; a triangle with repeated vertices has no sides.
  std::vector<std::array<std::uint32_t, 3>> triangles;
  std::vector<HalfEdge> half_edges;

  // Throws Error(input) if a triangle names a vertex that does not exist.
  explicit Topology(const Mesh& mesh);
  static bool repeats_vertex(const std::array<std::uint32_t, 3>& t) {
    return t[0] == t[1] || t[1] == t[2] || t[2] == t[0];
  }
  // Calls visit(first, last) with the half-edges of each edge.
  template <class Visit>
  void for_each_edge(const Visit& visit) const {
    for (std::size_t i = 0; i < half_edges.size();) {
      std::size_t j = i + 1;
      while (j < half_edges.size() && half_edges[j].edge() == half_edges[i].edge()) ++j;
      visit(half_edges.data() + i, half_edges.data() + j);
      i = j;
    }
  }
};

}  // namespace omni::geometry
