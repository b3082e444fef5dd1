#include "omni/geometry/surface_points.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "analytic_shapes.h"

namespace omni::geometry {
namespace {

TEST(SharpEdges, OfABoxAreItsTwelveEdgesByLength) {
  const Vec3 half{0.8f, 0.4f, 0.2f};
  CounterRng rng(3);
  const SurfacePoints points = sample_sharp_edges(testing::box_mesh(half, 4), 6000, rng);
  ASSERT_EQ(points.positions.size(), 6000u);
  std::array<double, 3> along{};  // points on edges that run along each axis
  for (std::size_t i = 0; i < points.positions.size(); ++i) {
    const Vec3 p = abs(points.positions[i]);
    int at_side = 0, axis = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      const bool on = std::abs(p[k] - half[k]) < 1e-5f;
      at_side += on;
      if (!on) axis = static_cast<int>(k);
    }
    ASSERT_GE(at_side, 2) << i;
    if (at_side == 2) ++along[static_cast<std::size_t>(axis)];
    // Half-way between the two faces' normals: 45 degrees to each, at right angles to the edge.
    EXPECT_NEAR(std::abs(points.normals[i][static_cast<std::size_t>(axis)]), 0, 1e-5);
    EXPECT_NEAR(length(points.normals[i]), 1, 1e-5);
    EXPECT_GT(dot(points.normals[i], points.positions[i]), 0);
  }
  EXPECT_NEAR(along[0] / 6000, 0.8 / 1.4, 0.03);
  EXPECT_NEAR(along[1] / 6000, 0.4 / 1.4, 0.03);
  EXPECT_NEAR(along[2] / 6000, 0.2 / 1.4, 0.03);
}

TEST(SharpEdges, SmoothAndOpenSurfacesHaveNone) {
  CounterRng rng(3);
  EXPECT_TRUE(sample_sharp_edges(testing::sphere_mesh(0.8f, 64), 100, rng).positions.empty());
  Mesh sheet;
  sheet.positions = {{0, 0, 0}, {1, 0, 0}, {1, 1, 0}, {0, 1, 0}};
  sheet.triangles = {{0, 1, 2}, {0, 2, 3}};
  EXPECT_TRUE(sample_sharp_edges(sheet, 100, rng).positions.empty());
}

}  // namespace
}  // namespace omni::geometry
