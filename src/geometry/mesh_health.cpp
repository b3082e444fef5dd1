#include "omni/geometry/mesh_health.h"

#include "disjoint_sets.h"
#include "topology.h"

namespace omni::geometry {
namespace {

// Counts edges by use; joins triangle corners that an edge makes neighbours, so that each fan becomes one
// set.
void count_edges(const Topology& topology, DisjointSets& fans, MeshHealth& health) {
  topology.for_each_edge([&](const HalfEdge* first, const HalfEdge* last) {
    const auto uses = last - first;
    if (uses == 1) ++health.boundary_edges;
    if (uses > 2) ++health.non_manifold_edges;
    if (uses == 2 && first[0].reversed() == first[1].reversed()) ++health.misoriented_edges;
    const auto corner_at_small_end = [](const HalfEdge& h) {
      return h.reversed() ? h.corner / 3 * 3 + (h.corner + 1) % 3 : h.corner;
    };
    const auto corner_at_large_end = [](const HalfEdge& h) {
      return h.reversed() ? h.corner : h.corner / 3 * 3 + (h.corner + 1) % 3;
    };
    for (const HalfEdge* h = first + 1; h < last; ++h) {
      fans.join(corner_at_small_end(*first), corner_at_small_end(*h));
      fans.join(corner_at_large_end(*first), corner_at_large_end(*h));
    }
  });
}

void count_vertices_and_components(const Topology& topology, DisjointSets& fans, MeshHealth& health) {
  const std::size_t vertices = topology.weld.first_of.size();
  std::vector<std::uint8_t> fan_count(vertices);
  std::vector<bool> used(vertices);
  DisjointSets components(vertices);
  for (std::size_t t = 0; t < topology.triangles.size(); ++t) {
    const auto& triangle = topology.triangles[t];
    if (Topology::repeats_vertex(triangle)) continue;
    for (std::uint32_t c = 0; c < 3; ++c) {
      const auto corner = static_cast<std::uint32_t>(3 * t + c);
      used[triangle[c]] = true;
      components.join(triangle[0], triangle[c]);
      if (fans.find(corner) == corner && fan_count[triangle[c]] < 2) ++fan_count[triangle[c]];
    }
  }
  for (std::uint32_t v = 0; v < vertices; ++v) {
    if (!used[v]) continue;
    ++health.vertices;
    health.non_manifold_vertices += fan_count[v] > 1;
    health.components += components.find(v) == v;
  }
}

double twice_area(Vec3 a, Vec3 b, Vec3 c) {
  const double u[3] = {double(b.x) - a.x, double(b.y) - a.y, double(b.z) - a.z};
  const double v[3] = {double(c.x) - a.x, double(c.y) - a.y, double(c.z) - a.z};
  const double n[3] = {u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]};
  return std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
}

double six_volumes(Vec3 a, Vec3 b, Vec3 c) {
  return a.x * (double(b.y) * c.z - double(b.z) * c.y) + a.y * (double(b.z) * c.x - double(b.x) * c.z) +
         a.z * (double(b.x) * c.y - double(b.y) * c.x);
}

}  // namespace

MeshHealth inspect(const Mesh& mesh) {
  MeshHealth health;
  const Topology topology(mesh);
  health.triangles = static_cast<std::int64_t>(mesh.triangles.size());
  DisjointSets fans(3 * mesh.triangles.size());
  count_edges(topology, fans, health);
  count_vertices_and_components(topology, fans, health);
  for (std::size_t t = 0; t < mesh.triangles.size(); ++t) {
    const auto& [a, b, c] = mesh.triangles[t];
    const double area = twice_area(mesh.positions[a], mesh.positions[b], mesh.positions[c]);
    const bool degenerate = !(area > 0) || Topology::repeats_vertex(topology.triangles[t]);
    health.degenerate_triangles += degenerate;
    if (degenerate || !std::isfinite(area)) continue;
    health.area += area / 2;
    health.volume += six_volumes(mesh.positions[a], mesh.positions[b], mesh.positions[c]) / 6;
  }
  return health;
}

}  // namespace omni::geometry
