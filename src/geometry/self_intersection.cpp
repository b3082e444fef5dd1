#include <array>
#include <cmath>
#include <vector>

#include "box_tree.h"
#include "omni/core/parallel.h"
#include "omni/geometry/mesh_health.h"
#include "topology.h"

namespace omni::geometry {
namespace {

struct Point {
  double x, y, z;
};
using Corners = std::array<Point, 3>;

Point difference(const Point& a, const Point& b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }

// On which side of the plane through a, b, c does d lie: -1, 0 or 1. Differences of floats are exact in
// double; what rounding leaves of a flat tetrahedron counts as flat.
int side(const Point& a, const Point& b, const Point& c, const Point& d) {
  const Point u = difference(b, a), v = difference(c, a), w = difference(d, a);
  const double terms[6] = {u.x * v.y * w.z,  u.y * v.z * w.x,  u.z * v.x * w.y,
                           -u.z * v.y * w.x, -u.y * v.x * w.z, -u.x * v.z * w.y};
  double sum = 0, size = 0;
  for (const double term : terms) {
    sum += term;
    size += std::abs(term);
  }
  if (std::abs(sum) <= 1e-14 * size) return 0;
  return sum > 0 ? 1 : -1;
}

// Whether the segment runs through the triangle from one side to the other, its border included.
bool pierces(const Point& p, const Point& q, const Corners& t) {
  if (side(t[0], t[1], t[2], p) * side(t[0], t[1], t[2], q) >= 0) return false;
  int positive = 0, negative = 0;
  for (int i = 0; i < 3; ++i) {
    const int s = side(p, q, t[i], t[(i + 1) % 3]);
    positive += s > 0;
    negative += s < 0;
  }
  return positive == 0 || negative == 0;
}

// Two triangles cross where an edge of one pierces the other. Neighbours touch in their common vertices: with
// one in common only the edges that face it can pierce, with two none can.
bool cross(const Corners& a, const Corners& b, const std::array<std::uint32_t, 3>& names_a,
           const std::array<std::uint32_t, 3>& names_b) {
  int common = 0, own_a = 0, own_b = 0;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      if (names_a[i] != names_b[j]) continue;
      ++common;
      own_a = i;
      own_b = j;
    }
  }
  if (common >= 2) return false;
  if (common == 1)
    return pierces(a[(own_a + 1) % 3], a[(own_a + 2) % 3], b) ||
           pierces(b[(own_b + 1) % 3], b[(own_b + 2) % 3], a);
  for (int i = 0; i < 3; ++i)
    if (pierces(a[i], a[(i + 1) % 3], b) || pierces(b[i], b[(i + 1) % 3], a)) return true;
  return false;
}

}  // namespace

std::int64_t count_self_intersections(const Mesh& mesh) {
  const auto names = welded_triangles(mesh, weld_positions(mesh.positions));
  const std::size_t count = mesh.triangles.size();
  std::vector<Bounds> boxes(count);
  for (std::size_t t = 0; t < count; ++t)
    for (const std::uint32_t v : mesh.triangles[t]) boxes[t].include(mesh.positions[v]);
  const BoxTree tree(boxes);
  const auto corners = [&](std::size_t t) {
    Corners result;
    for (std::size_t i = 0; i < 3; ++i) {
      const Vec3 p = mesh.positions[mesh.triangles[t][i]];
      result[i] = {p.x, p.y, p.z};
    }
    return result;
  };
  std::vector<std::uint8_t> crossing(count);
  parallel_for(static_cast<std::int64_t>(count), 1024, [&](std::int64_t begin, std::int64_t end) {
    for (auto t = static_cast<std::size_t>(begin); t < static_cast<std::size_t>(end); ++t) {
      const Corners own = corners(t);
      crossing[t] = tree.any_overlap(boxes[t], [&](std::uint32_t other) {
        return other != t && cross(own, corners(other), names[t], names[other]);
      });
    }
  });
  std::int64_t total = 0;
  for (const std::uint8_t one : crossing) total += one;
  return total;
}

}  // namespace omni::geometry
