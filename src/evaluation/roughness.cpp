#include "omni/evaluation/roughness.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace omni::evaluation {

using geometry::Vec3;

double dihedral_roughness(const geometry::Mesh& mesh) {
  constexpr double kTrueEdge = 60, kDegrees = 180 / std::numbers::pi;
  struct Side {
    std::uint32_t low, high;  // the edge's vertices
    std::uint32_t triangle;
  };
  std::vector<Side> sides;
  std::vector<Vec3> normals;
  for (std::uint32_t t = 0; t < mesh.triangles.size(); ++t) {
    const auto& corners = mesh.triangles[t];
    const Vec3 a = mesh.positions[corners[0]];
    normals.push_back(cross(mesh.positions[corners[1]] - a, mesh.positions[corners[2]] - a));
    for (std::size_t i = 0; i < 3; ++i) {
      const auto [low, high] = std::minmax(corners[i], corners[(i + 1) % 3]);
      sides.push_back({low, high, t});
    }
  }
  std::sort(sides.begin(), sides.end(), [](const Side& a, const Side& b) {
    return std::array{a.low, a.high, a.triangle} < std::array{b.low, b.high, b.triangle};
  });
  double angles = 0, areas = 0;
  for (std::size_t i = 1; i < sides.size(); ++i) {
    const Side &first = sides[i - 1], &second = sides[i];
    if (first.low != second.low || first.high != second.high) continue;
    const Vec3 m = normals[first.triangle], n = normals[second.triangle];
    if (length(m) == 0 || length(n) == 0) continue;
    const double angle = std::atan2(length(cross(m, n)), dot(m, n)) * kDegrees;
    if (angle >= kTrueEdge) continue;
    const double area = length(m) + length(n);
    angles += angle * area;
    areas += area;
  }
  return areas > 0 ? angles / areas : 0;
}

}  // namespace omni::evaluation
