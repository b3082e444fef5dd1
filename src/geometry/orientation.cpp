#include "orientation.h"

#include <algorithm>

namespace omni::geometry {
namespace {

// A face with its vertices in ascending order, and whether that order turns it round.
struct SortedFace {
  std::array<std::uint32_t, 3> vertices;
  int turn;
  std::uint32_t triangle;
};

SortedFace sorted_face(std::array<std::uint32_t, 3> t, std::uint32_t triangle) {
  int turn = 1;
  const auto order = [&](int a, int b) {
    if (t[a] <= t[b]) return;
    std::swap(t[a], t[b]);
    turn = -turn;
  };
  order(0, 1);
  order(1, 2);
  order(0, 1);
  return {t, turn, triangle};
}

double cancelled_share(const Mesh& mesh, const Topology& topology) {
  std::vector<SortedFace> faces;
  faces.reserve(topology.triangles.size());
  for (std::uint32_t t = 0; t < topology.triangles.size(); ++t) {
    if (!Topology::repeats_vertex(topology.triangles[t]))
      faces.push_back(sorted_face(topology.triangles[t], t));
  }
  std::sort(faces.begin(), faces.end(),
            [](const SortedFace& a, const SortedFace& b) { return a.vertices < b.vertices; });
  double total = 0, cancelled = 0;
  for (std::size_t i = 0; i < faces.size();) {
    const auto& corners = mesh.triangles[faces[i].triangle];
    const Vec3 a = mesh.positions[corners[0]];
    const double area = length(cross(mesh.positions[corners[1]] - a, mesh.positions[corners[2]] - a));
    int count = 0, balance = 0;
    const std::size_t first = i;
    for (; i < faces.size() && faces[i].vertices == faces[first].vertices; ++i) {
      ++count;
      balance += faces[i].turn;
    }
    total += area * count;
    cancelled += area * (count - std::abs(balance));
  }
  return total > 0 ? cancelled / total : 0;
}

}  // namespace

OrientationConsistency measure_orientation(const Mesh& mesh, const Topology& topology) {
  OrientationConsistency result;
  std::int64_t shared = 0, agreeing = 0, single = 0;
  topology.for_each_edge([&](const HalfEdge* first, const HalfEdge* last) {
    if (last - first == 1) {
      ++single;
      return;
    }
    int balance = 0;
    for (const HalfEdge* h = first; h < last; ++h) balance += h->reversed() ? -1 : 1;
    ++shared;
    // An odd number of faces, as where a sheet meets a solid, is at best one off.
    agreeing += std::abs(balance) <= (last - first) % 2;
  });
  if (shared > 0) result.agreeing_edges = static_cast<double>(agreeing) / static_cast<double>(shared);
  result.closed = single == 0 && !topology.half_edges.empty();
  result.cancelled_area = cancelled_share(mesh, topology);
  return result;
}

}  // namespace omni::geometry
