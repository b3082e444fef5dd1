#include "polygon.h"

#include <gtest/gtest.h>

#include <limits>
#include <numbers>

#include "omni/geometry/mesh.h"
#include "polygon_sweep.h"

namespace omni::geometry {
namespace {

// Of the triangles that a polygon in a plane of its own becomes: their area, which is more than its own where
// they overlap, and whether each keeps its orientation.
struct Cover {
  double area = 0;
  std::size_t triangles = 0, turned = 0;
};
Cover cover(const std::vector<PlanePoint>& outline, bool upright = false) {
  std::vector<Vec3> corners;
  for (const PlanePoint p : outline)
    corners.push_back(upright ? Vec3{float(p.x), 0.5f, float(-p.y)} : Vec3{float(p.x), float(p.y), 2});
  std::vector<std::array<std::uint32_t, 3>> triangles;
  triangulate_polygon(corners, triangles);
  Cover result;
  result.triangles = triangles.size();
  for (const auto& t : triangles) {
    const Vec3 n = cross(corners[t[1]] - corners[t[0]], corners[t[2]] - corners[t[0]]);
    result.area += length(n) / 2;
    result.turned += (upright ? n.y : n.z) < 0;
  }
  return result;
}

std::vector<PlanePoint> star(int points, double inner) {
  std::vector<PlanePoint> outline;
  for (int i = 0; i < 2 * points; ++i) {
    const double angle = std::numbers::pi * i / points, radius = i % 2 == 0 ? 1 : inner;
    outline.push_back({radius * std::cos(angle), radius * std::sin(angle)});
  }
  return outline;
}

double area_of(const std::vector<PlanePoint>& outline) {
  double area = 0;
  for (std::size_t i = 0; i < outline.size(); ++i) {
    const PlanePoint a = outline[i], b = outline[(i + 1) % outline.size()];
    area += (a.x * b.y - a.y * b.x) / 2;
  }
  return area;
}

// Teeth that hang from a bar.
std::vector<PlanePoint> comb(int teeth) {
  std::vector<PlanePoint> outline = {{double(teeth), 1}, {0, 1}};
  for (int i = 0; i < teeth; ++i) {
    outline.push_back({double(i), -double(1 + i % 7)});
    outline.push_back({i + 0.5, 0});
  }
  return outline;
}

std::vector<PlanePoint> spiral(int steps) {
  std::vector<PlanePoint> outward, inward;
  for (int i = 0; i < steps; ++i) {
    const double angle = 0.3 * i, radius = 1 + 0.1 * angle;
    outward.push_back({radius * std::cos(angle), radius * std::sin(angle)});
    inward.push_back({(radius - 0.2) * std::cos(angle), (radius - 0.2) * std::sin(angle)});
  }
  outward.insert(outward.end(), inward.rbegin(), inward.rend());
  return outward;
}

std::vector<PlanePoint> reversed(std::vector<PlanePoint> outline) {
  std::reverse(outline.begin(), outline.end());
  return outline;
}

TEST(Polygon, CoversConcaveOutlinesOfAnySizeExactly) {
  for (const auto& outline : {star(5, 0.4), star(130, 0.5), star(200, 0.1), star(5000, 0.5), comb(60),
                              comb(3000), spiral(100), spiral(2000)})
    for (const bool upright : {false, true}) {
      const double area = area_of(outline);
      const Cover covered = cover(outline, upright);
      EXPECT_NEAR(covered.area, area, 2e-4 * area) << outline.size();
      EXPECT_EQ(covered.triangles, outline.size() - 2);
      EXPECT_EQ(covered.turned, 0u) << outline.size();
      const Cover mirrored = cover(reversed(outline), upright);
      EXPECT_NEAR(mirrored.area, area, 2e-4 * area);
      EXPECT_EQ(mirrored.turned, mirrored.triangles);
    }
}

// The square of this many corners would take minutes.
TEST(Polygon, TakesManyCornersInTheirStride) {
  const auto outline = comb(100'000);
  EXPECT_NEAR(cover(outline).area, area_of(outline), 1e-3 * area_of(outline));
}

TEST(Polygon, BearsStraightRunsRepeatedCornersAndHoles) {
  std::vector<PlanePoint> square;  // with 100 corners on each side
  for (int i = 0; i < 100; ++i) square.push_back({i / 100.0, 0});
  for (int i = 0; i < 100; ++i) square.push_back({1, i / 100.0});
  for (int i = 0; i < 100; ++i) square.push_back({1 - i / 100.0, 1});
  for (int i = 0; i < 100; ++i) square.push_back({0, 1 - i / 100.0});
  EXPECT_NEAR(cover(square).area, 1, 1e-5);
  auto doubled = star(150, 0.5);
  const double area = area_of(doubled);
  doubled.insert(doubled.begin() + 7, doubled[7]);
  doubled.push_back(doubled.front());
  EXPECT_NEAR(cover(doubled).area, area, 1e-4);
  // A ring: outside, a bridge to the hole, around it the other way, and back over the bridge.
  std::vector<PlanePoint> ring;
  const auto circle = [](double radius, int i) {
    const double angle = 2 * std::numbers::pi * i / 200;
    return PlanePoint{radius * std::cos(angle), radius * std::sin(angle)};
  };
  for (int i = 0; i <= 200; ++i) ring.push_back(circle(1, i % 200));
  for (int i = 200; i >= 0; --i) ring.push_back(circle(0.5, i % 200));
  EXPECT_NEAR(cover(ring).area, area_of(ring), 1e-3);
}

TEST(Polygon, CoversWhatCrossesItselfSomehow) {
  auto outline = star(300, 0.5);
  std::swap(outline[10], outline[200]);
  std::vector<std::array<std::uint32_t, 3>> triangles;
  EXPECT_FALSE(triangulate_by_sweep(outline, triangles));
  EXPECT_TRUE(triangles.empty());
  EXPECT_EQ(cover(outline).triangles, outline.size() - 2);
  // The same way there and back, and around twice.
  auto twice = star(200, 0.5);
  const auto once = twice;
  twice.insert(twice.end(), once.begin(), once.end());
  EXPECT_FALSE(triangulate_by_sweep(twice, triangles));
  auto there_and_back = once;
  there_and_back.insert(there_and_back.end(), once.rbegin(), once.rend());
  EXPECT_FALSE(triangulate_by_sweep(there_and_back, triangles));
  EXPECT_TRUE(triangles.empty());
  const std::vector<PlanePoint> nothing(500, PlanePoint{1, 1});
  EXPECT_FALSE(triangulate_by_sweep(nothing, triangles));
  EXPECT_EQ(cover(nothing).area, 0);
}

TEST(Polygon, DoesNotSweepWhatIsNoNumber) {
  for (const double broken :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    auto outline = star(200, 0.5);
    outline[7].x = broken;
    std::vector<std::array<std::uint32_t, 3>> triangles;
    EXPECT_FALSE(triangulate_by_sweep(outline, triangles));
    EXPECT_TRUE(triangles.empty());
  }
}

}  // namespace
}  // namespace omni::geometry
