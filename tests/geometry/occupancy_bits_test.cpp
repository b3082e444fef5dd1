#include "omni/geometry/occupancy_bits.h"

#include <gtest/gtest.h>

#include <cmath>

#include "analytic_shapes.h"
#include "omni/core/error.h"

namespace omni::geometry {
namespace {

auto box(Vec3 low, Vec3 high) {
  return testing::AnalyticSolid([=](Vec3 p) {
    const bool inside =
        p.x > low.x && p.y > low.y && p.z > low.z && p.x < high.x && p.y < high.y && p.z < high.z;
    return inside ? -1.0 : 1.0;
  });
}

TEST(OccupancyBits, GivesTheOverlapOfShiftedBoxes) {
  // Each 1 x 1 x 1, shifted by a quarter: 0.75 / 1.25. The faces lie on cell borders.
  const auto a = box({-0.5f, -0.5f, -0.5f}, {0.5f, 0.5f, 0.5f});
  const auto b = box({-0.25f, -0.5f, -0.5f}, {0.75f, 0.5f, 0.5f});
  const OccupancyBits x(a, 64), y(b, 64);
  EXPECT_EQ(x.count(), 32 * 32 * 32);
  EXPECT_DOUBLE_EQ(intersection_over_union(x, y), 0.6);
  EXPECT_DOUBLE_EQ(intersection_over_union(x, x), 1.0);
  EXPECT_DOUBLE_EQ(intersection_over_union(x, y), volume_iou(a, b, 64));
}

TEST(OccupancyBits, AgreesWithTheFieldsOwnOverlapWhereWordsAreNotFull) {
  const testing::AnalyticSolid ball([](Vec3 p) { return testing::sphere_distance(p, 0.7); });
  const auto other = box({-0.6f, -0.3f, -0.9f}, {0.1f, 0.8f, 0.4f});
  for (const int resolution : {5, 17, 33}) {
    const OccupancyBits a(ball, resolution), b(other, resolution);
    EXPECT_DOUBLE_EQ(intersection_over_union(a, b), volume_iou(ball, other, resolution));
    const VoxelGrid grid = voxelise(other, resolution, 1.0f);
    for (int z = 0, i = 0; z < resolution; ++z)
      for (int y = 0; y < resolution; ++y)
        for (int x = 0; x < resolution; ++x, ++i) ASSERT_EQ(b.inside(x, y, z), grid.occupancy[i] != 0);
  }
}

TEST(OccupancyBits, EmptyShapesAreEqual) {
  const OccupancyBits empty(testing::AnalyticSolid([](Vec3) { return 1.0; }), 16);
  EXPECT_TRUE(empty.empty());
  EXPECT_EQ(intersection_over_union(empty, empty), 1.0);
  EXPECT_EQ(intersection_over_union(empty, OccupancyBits(box({-1, -1, -1}, {1, 1, 1}), 16)), 0.0);
}

TEST(OccupancyBits, RefusesImpossibleGrids) {
  const auto solid = box({-1, -1, -1}, {1, 1, 1});
  EXPECT_THROW(OccupancyBits(solid, 0), Error);
  EXPECT_THROW(OccupancyBits(solid, 1025), Error);
  EXPECT_THROW(OccupancyBits(solid, 8, NAN), Error);
}

}  // namespace
}  // namespace omni::geometry
