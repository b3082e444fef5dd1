#include "polygon.h"

#include <numeric>

#include "polygon_sweep.h"

namespace omni::geometry {
namespace {

// Clipping ears bears corners that touch, but takes time with the square of their number, and worse.
constexpr std::size_t kClippedAtOnce = 256, kMaximumClipped = 1024;

using Point = PlanePoint;

// Newell's normal decides which axis to drop, and the sign makes the polygon counter-clockwise.
std::vector<Point> flatten(std::span<const Vec3> corners) {
  double normal[3] = {0, 0, 0};
  for (std::size_t i = 0; i < corners.size(); ++i) {
    const Vec3 a = corners[i], b = corners[(i + 1) % corners.size()];
    normal[0] += (double(a.y) - b.y) * (double(a.z) + b.z);
    normal[1] += (double(a.z) - b.z) * (double(a.x) + b.x);
    normal[2] += (double(a.x) - b.x) * (double(a.y) + b.y);
  }
  std::size_t axis = 0;
  for (std::size_t k = 1; k < 3; ++k)
    if (std::abs(normal[k]) > std::abs(normal[axis])) axis = k;
  const std::size_t u = (axis + 1) % 3, v = (axis + 2) % 3;
  std::vector<Point> points;
  points.reserve(corners.size());
  for (const Vec3& c : corners) points.push_back(normal[axis] >= 0 ? Point{c[u], c[v]} : Point{c[v], c[u]});
  return points;
}

bool is_ear(const std::vector<Point>& points, const std::vector<std::uint32_t>& ring, std::size_t at) {
  const std::size_t n = ring.size();
  const std::uint32_t before = ring[(at + n - 1) % n], here = ring[at], after = ring[(at + 1) % n];
  const Point a = points[before], b = points[here], c = points[after];
  if (turn(a, b, c) <= 0) return false;
  for (const std::uint32_t other : ring) {
    if (other == before || other == here || other == after) continue;
    const Point p = points[other];
    const bool at_corner =
        (p.x == a.x && p.y == a.y) || (p.x == b.x && p.y == b.y) || (p.x == c.x && p.y == c.y);
    if (!at_corner && turn(a, b, p) >= 0 && turn(b, c, p) >= 0 && turn(c, a, p) >= 0) return false;
  }
  return true;
}

}  // namespace

void triangulate_polygon(std::span<const Vec3> corners,
                         std::vector<std::array<std::uint32_t, 3>>& triangles) {
  if (corners.size() < 3) return;
  if (corners.size() == 3) {
    triangles.push_back({0, 1, 2});
    return;
  }
  std::vector<std::uint32_t> ring(corners.size());
  std::iota(ring.begin(), ring.end(), 0u);
  const std::vector<Point> points = flatten(corners);
  if (corners.size() > kClippedAtOnce && triangulate_by_sweep(points, triangles)) return;
  if (corners.size() <= kMaximumClipped) {
    // Goes on beside the ear that was cut, where the next one mostly is, and ends after a round without any.
    for (std::size_t i = 0, failed = 0; failed < ring.size() && ring.size() > 3;) {
      const std::size_t n = ring.size();
      if (!is_ear(points, ring, i)) {
        i = (i + 1) % n;
        ++failed;
        continue;
      }
      triangles.push_back({ring[(i + n - 1) % n], ring[i], ring[(i + 1) % n]});
      ring.erase(ring.begin() + std::ptrdiff_t(i));
      i = i > 0 ? i - 1 : 0;
      failed = 0;
    }
  }
  // What is left is a triangle, or of a polygon that crosses itself.
  for (std::size_t i = 1; i + 1 < ring.size(); ++i) triangles.push_back({ring[0], ring[i], ring[i + 1]});
}

}  // namespace omni::geometry
