#include "topology.h"

#include <algorithm>

#include "omni/core/error.h"

namespace omni::geometry {

std::vector<std::array<std::uint32_t, 3>> welded_triangles(const Mesh& mesh, const Weld& weld) {
  std::vector<std::array<std::uint32_t, 3>> triangles(mesh.triangles.size());
  for (std::size_t t = 0; t < mesh.triangles.size(); ++t) {
    for (int c = 0; c < 3; ++c) {
      const std::uint32_t vertex = mesh.triangles[t][c];
      if (vertex >= mesh.positions.size()) {
        fail(ErrorKind::input, "reading a mesh: triangle ", t, " names vertex ", vertex, " of ",
             mesh.positions.size(), ". The mesh is broken; export it again");
      }
      triangles[t][c] = weld.group_of[vertex];
    }
  }
  return triangles;
}

Topology::Topology(const Mesh& mesh)
    : weld(weld_positions(mesh.positions)), triangles(welded_triangles(mesh, weld)) {
  half_edges.reserve(triangles.size() * 3);
  for (std::size_t t = 0; t < triangles.size(); ++t) {
    const std::array<std::uint32_t, 3>& triangle = triangles[t];
    if (repeats_vertex(triangle)) continue;
    for (std::uint32_t c = 0; c < 3; ++c) {
      const std::uint64_t from = triangle[c];
      const std::uint64_t to = triangle[(c + 1) % 3];
      const std::uint64_t edge = std::min(from, to) << 32 | std::max(from, to);
      half_edges.push_back({edge << 1 | std::uint64_t{from > to}, static_cast<std::uint32_t>(3 * t + c)});
    }
  }
  std::sort(half_edges.begin(), half_edges.end(), [](const HalfEdge& a, const HalfEdge& b) {
    return a.key != b.key ? a.key < b.key : a.corner < b.corner;
  });
}

}  // namespace omni::geometry
