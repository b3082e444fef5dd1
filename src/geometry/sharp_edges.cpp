#include <algorithm>
#include <cmath>
#include <numbers>

#include "omni/geometry/surface_points.h"
#include "topology.h"

namespace omni::geometry {
namespace {

constexpr Vec3 kGrey{0.7f, 0.7f, 0.7f};

struct SharpEdge {
  std::uint32_t from = 0, to = 0;  // vertices of the mesh
  Vec3 normal;
};

struct SharpEdges {
  std::vector<SharpEdge> edges;
  std::vector<double> cumulative_length;
};

SharpEdges find_sharp_edges(const Mesh& mesh, float angle_degrees) {
  const Topology topology(mesh);
  const float minimum_cosine = std::cos(angle_degrees * std::numbers::pi_v<float> / 180);
  const auto normal_of = [&](std::uint32_t triangle) {
    const auto& t = mesh.triangles[triangle];
    const Vec3 a = mesh.positions[t[0]];
    return normalised(cross(mesh.positions[t[1]] - a, mesh.positions[t[2]] - a));
  };
  SharpEdges found;
  double total = 0;
  topology.for_each_edge([&](const HalfEdge* first, const HalfEdge* last) {
    if (last - first != 2) return;
    const Vec3 a = normal_of(first[0].corner / 3), b = normal_of(first[1].corner / 3);
    if (dot(a, b) >= minimum_cosine || length(a + b) < 1e-3f) return;
    const auto& t = mesh.triangles[first->corner / 3];
    const std::uint32_t from = t[first->corner % 3], to = t[(first->corner + 1) % 3];
    total += length(mesh.positions[to] - mesh.positions[from]);
    found.edges.push_back({from, to, normalised(a + b)});
    found.cumulative_length.push_back(total);
  });
  return found;
}

}  // namespace

SurfacePoints sample_sharp_edges(const Mesh& mesh, std::size_t count, CounterRng& rng, float angle_degrees) {
  const SharpEdges sharp = find_sharp_edges(mesh, angle_degrees);
  SurfacePoints points;
  if (sharp.edges.empty() || !(sharp.cumulative_length.back() > 0)) return points;
  const std::vector<double>& lengths = sharp.cumulative_length;
  for (std::size_t i = 0; i < count; ++i) {
    const auto at = std::upper_bound(lengths.begin(), lengths.end(), rng.uniform() * lengths.back());
    const SharpEdge& edge =
        sharp
            .edges[std::min<std::size_t>(static_cast<std::size_t>(at - lengths.begin()), lengths.size() - 1)];
    const auto share = static_cast<float>(rng.uniform());
    points.positions.push_back(mesh.positions[edge.from] * (1 - share) + mesh.positions[edge.to] * share);
    points.normals.push_back(edge.normal);
    // Colours change little along an edge; the nearer end's is exact at flat-coloured parts.
    const std::uint32_t nearer = share < 0.5f ? edge.from : edge.to;
    points.colours.push_back(mesh.colours.empty() ? kGrey : mesh.colours[nearer]);
  }
  return points;
}

}  // namespace omni::geometry
