#include "omni/geometry/simplification.h"

#include <meshoptimizer.h>

#include <algorithm>
#include <map>

#include "disjoint_sets.h"
#include "edge_collapse.h"
#include "omni/core/error.h"
#include "omni/geometry/mesh_health.h"
#include "topology.h"

namespace omni::geometry {
namespace {

// One vertex per group, with the mean of its colours, without degenerate triangles and normals.
Mesh merge_vertices(const Mesh& mesh, const Weld& weld) {
  Mesh merged;
  const std::size_t groups = weld.first_of.size();
  for (const auto v : weld.first_of) merged.positions.push_back(mesh.positions[v]);
  if (!mesh.colours.empty()) {
    merged.colours.resize(groups);
    std::vector<float> count(groups);
    for (std::size_t v = 0; v < mesh.positions.size(); ++v) {
      merged.colours[weld.group_of[v]] += mesh.colours[v];
      count[weld.group_of[v]] += 1;
    }
    for (std::size_t g = 0; g < groups; ++g) merged.colours[g] *= 1 / count[g];
  }
  for (const auto& t : mesh.triangles) {
    const std::array<std::uint32_t, 3> triangle{weld.group_of[t[0]], weld.group_of[t[1]],
                                                weld.group_of[t[2]]};
    if (!Topology::repeats_vertex(triangle)) merged.triangles.push_back(triangle);
  }
  return merged;
}

void drop_unused_vertices(Mesh& mesh) {
  constexpr std::uint32_t kUnused = 0xffffffffu;
  std::vector<std::uint32_t> number(mesh.positions.size(), kUnused);
  std::uint32_t next = 0;
  for (auto& t : mesh.triangles) {
    for (auto& v : t) {
      if (number[v] == kUnused) number[v] = next++;
      v = number[v];
    }
  }
  const auto gather = [&](std::vector<Vec3>& values) {
    if (values.empty()) return;
    std::vector<Vec3> kept(next);
    for (std::size_t v = 0; v < number.size(); ++v) {
      if (number[v] != kUnused) kept[number[v]] = values[v];
    }
    values = std::move(kept);
  };
  gather(mesh.positions);
  gather(mesh.colours);
  gather(mesh.normals);
}

Mesh simplify_with_seams(const Mesh& mesh, std::size_t target_triangles) {
  const std::size_t indices = mesh.triangles.size() * 3;
  if (indices == 0) return mesh;
  std::vector<std::uint32_t> kept(indices);
  const std::size_t count = meshopt_simplify(kept.data(), mesh.triangles[0].data(), indices,
                                             &mesh.positions[0].x, mesh.positions.size(), sizeof(Vec3),
                                             target_triangles * 3, 1.0f, meshopt_SimplifyLockBorder, nullptr);
  Mesh result = mesh;
  result.triangles.clear();
  for (std::size_t i = 0; i + 2 < count; i += 3)
    result.triangles.push_back({kept[i], kept[i + 1], kept[i + 2]});
  drop_unused_vertices(result);
  return result;
}

bool closed_and_manifold(const Mesh& mesh) {
  const MeshHealth health = inspect(mesh);
  return health.healthy();
}

// The enclosed volume of each component, keyed by its representative vertex group.
std::map<std::uint32_t, double> component_volumes(const Mesh& mesh, const Topology& topology,
                                                  DisjointSets& sets) {
  struct Sum {
    double x = 0, y = 0, z = 0, count = 0, volume = 0;
  };
  std::map<std::uint32_t, Sum> sums;
  for (const auto& t : topology.triangles) {
    Sum& sum = sums[sets.find(t[0])];
    for (const auto v : t) {
      const Vec3 p = mesh.positions[topology.weld.first_of[v]];
      sum.x += p.x, sum.y += p.y, sum.z += p.z, sum.count += 1;
    }
  }
  for (const auto& t : topology.triangles) {
    Sum& sum = sums[sets.find(t[0])];
    const Vec3 centre{float(sum.x / sum.count), float(sum.y / sum.count), float(sum.z / sum.count)};
    const Vec3 a = mesh.positions[topology.weld.first_of[t[0]]] - centre;
    const Vec3 b = mesh.positions[topology.weld.first_of[t[1]]] - centre;
    const Vec3 c = mesh.positions[topology.weld.first_of[t[2]]] - centre;
    sum.volume += double(dot(a, cross(b, c))) / 6;
  }
  std::map<std::uint32_t, double> volumes;
  for (const auto& [set, sum] : sums) volumes[set] = std::abs(sum.volume);
  return volumes;
}

}  // namespace

Mesh simplify(const Mesh& mesh, std::size_t target_triangles) {
  const bool healthy = closed_and_manifold(mesh);  // also checks the indices
  Mesh result = mesh;
  if (target_triangles < mesh.triangles.size()) {
    const Weld by_position = weld_positions(mesh.positions);
    const Weld by_colour = weld_positions_and_colours(mesh.positions, mesh.colours);
    const bool seams = by_colour.first_of.size() != by_position.first_of.size();
    // meshoptimizer keeps colour seams and open borders, but not manifoldness; the collapser keeps that
    // alone.
    if (seams || !healthy) result = simplify_with_seams(merge_vertices(mesh, by_colour), target_triangles);
    if (healthy && (!seams || !closed_and_manifold(result))) {
      result = collapse_edges(merge_vertices(mesh, by_position), target_triangles);
    }
    if (healthy && !closed_and_manifold(result)) result = mesh;
  }
  if (!mesh.normals.empty() && result.normals.empty()) compute_smooth_normals(result);
  return result;
}

Mesh remove_floaters(const Mesh& mesh, double share) {
  const Topology topology(mesh);
  DisjointSets sets(topology.weld.first_of.size());
  for (const auto& t : topology.triangles) {
    sets.join(t[0], t[1]);
    sets.join(t[0], t[2]);
  }
  const auto volumes = component_volumes(mesh, topology, sets);
  double largest = 0;
  for (const auto& [set, volume] : volumes) largest = std::max(largest, volume);
  Mesh result = mesh;
  result.triangles.clear();
  for (std::size_t t = 0; t < mesh.triangles.size(); ++t) {
    if (volumes.at(sets.find(topology.triangles[t][0])) >= share * largest)
      result.triangles.push_back(mesh.triangles[t]);
  }
  drop_unused_vertices(result);
  return result;
}

void compute_smooth_normals(Mesh& mesh) {
  const Weld weld = weld_positions(mesh.positions);
  std::vector<Vec3> sums(weld.first_of.size());
  for (const auto& t : mesh.triangles) {
    const Vec3 a = mesh.positions[t[0]];
    const Vec3 n = cross(mesh.positions[t[1]] - a, mesh.positions[t[2]] - a);
    for (const auto v : t) sums[weld.group_of[v]] += n;
  }
  mesh.normals.resize(mesh.positions.size());
  for (std::size_t v = 0; v < mesh.positions.size(); ++v) {
    const Vec3 n = normalised(sums[weld.group_of[v]]);
    mesh.normals[v] = n == Vec3{} ? Vec3{0, 1, 0} : n;
  }
}

}  // namespace omni::geometry
