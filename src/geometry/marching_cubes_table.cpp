#include "marching_cubes_table.h"

#include <algorithm>
#include <vector>

#include "omni/core/error.h"

namespace omni::geometry {
namespace {

std::array<CubeEdge, 12> make_edges() {
  std::array<CubeEdge, 12> edges;
  for (int e = 0; e < 12; ++e) {
    const int axis = e / 4;
    const int low_axis = axis == 0 ? 1 : 0;
    const int high_axis = axis == 2 ? 1 : 2;
    const int corner = ((e & 1) << low_axis) | ((e >> 1 & 1) << high_axis);
    edges[e] = {axis, corner, corner | 1 << axis};
  }
  return edges;
}

int edge_between(int a, int b) {
  const auto& edges = cube_edges();
  for (int e = 0; e < 12; ++e) {
    if (edges[e].from_corner == std::min(a, b) && edges[e].to_corner == std::max(a, b)) return e;
  }
  return -1;
}

// The corners of a face, counter-clockwise seen from outside the cell.
std::array<int, 4> face_corners(int axis, bool high) {
  const int u = 1 << (axis + 1) % 3;
  const int v = 1 << (axis + 2) % 3;
  const int base = high ? 1 << axis : 0;
  if (high) return {base, base | u, base | u | v, base | v};
  return {base, base | v, base | u | v, base | u};
}

// For each cut edge the next one along its loop, -1 for uncut edges. Loops run counter-clockwise seen from
// outside the solid.
std::array<int, 12> trace_segments(int inside) {
  std::array<int, 12> next;
  next.fill(-1);
  const auto is_inside = [inside](int corner) { return (inside >> corner & 1) != 0; };
  for (int face = 0; face < 6; ++face) {
    const auto corners = face_corners(face / 2, face % 2 == 1);
    for (int i = 0; i < 4; ++i) {
      if (is_inside(corners[i]) || !is_inside(corners[(i + 1) % 4])) continue;
      int last = i + 1;  // the run of inside corners starts at i + 1
      while (is_inside(corners[(last + 1) % 4])) ++last;
      next[edge_between(corners[i], corners[(i + 1) % 4])] =
          edge_between(corners[last % 4], corners[(last + 1) % 4]);
    }
  }
  return next;
}

bool share_face(int edge_a, int edge_b) {
  const auto& a = cube_edges()[edge_a];
  const auto& b = cube_edges()[edge_b];
  const int all = a.from_corner & a.to_corner & b.from_corner & b.to_corner;
  const int any = a.from_corner | a.to_corner | b.from_corner | b.to_corner;
  return all != 0 || any != 7;
}

using Loop = std::vector<std::uint8_t>;
using Triangles = std::vector<std::array<std::uint8_t, 3>>;

// Triangulates loop[first .. last], whose closing edge (first, last) is given; false if every way needs a
// diagonal inside a face.
bool triangulate(const Loop& loop, int first, int last, Triangles& out) {
  if (last - first < 2) return true;
  for (int middle = first + 1; middle < last; ++middle) {
    const bool bad_left = middle - first > 1 && share_face(loop[first], loop[middle]);
    const bool bad_right = last - middle > 1 && share_face(loop[middle], loop[last]);
    if (bad_left || bad_right) continue;
    const std::size_t kept = out.size();
    out.push_back({loop[first], loop[middle], loop[last]});
    if (triangulate(loop, first, middle, out) && triangulate(loop, middle, last, out)) return true;
    out.resize(kept);
  }
  return false;
}

CubeCase make_case(int inside) {
  CubeCase result;
  Triangles triangles;
  auto next = trace_segments(inside);
  for (int start = 0; start < 12; ++start) {
    Loop loop;
    for (int e = start; next[e] >= 0;) {
      loop.push_back(static_cast<std::uint8_t>(e));
      const int following = next[e];
      next[e] = -1;
      e = following;
    }
    if (loop.empty()) continue;
    const bool found = triangulate(loop, 0, static_cast<int>(loop.size()) - 1, triangles);
    ensure(found && triangles.size() <= result.triangles.size(), "marching cubes case ", inside,
           " has no triangulation");
  }
  result.count = static_cast<int>(triangles.size());
  std::copy(triangles.begin(), triangles.end(), result.triangles.begin());
  return result;
}

}  // namespace

const std::array<CubeEdge, 12>& cube_edges() {
  static const std::array<CubeEdge, 12> edges = make_edges();
  return edges;
}

const std::array<CubeCase, 256>& cube_cases() {
  static const std::array<CubeCase, 256> cases = [] {
    std::array<CubeCase, 256> all;
    for (int inside = 0; inside < 256; ++inside) all[inside] = make_case(inside);
    return all;
  }();
  return cases;
}

}  // namespace omni::geometry
