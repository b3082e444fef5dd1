#include "omni/geometry/solid_field.h"

#include <gtest/gtest.h>

#include "analytic_shapes.h"
#include "omni/core/error.h"

namespace omni::geometry {
namespace {

auto ball(double radius, Vec3 colour = {0.2f, 0.4f, 0.6f}) {
  return testing::AnalyticSolid([radius](Vec3 p) { return testing::sphere_distance(p, radius); }, colour);
}

TEST(SolidField, VoxelisedBallHasItsVolumeAndColour) {
  const VoxelGrid grid = voxelise(ball(0.7), 32, 1.0f, 3);
  double volume = 0;
  for (const float share : grid.occupancy) volume += share;
  volume *= std::pow(2.0 / 32, 3);
  EXPECT_NEAR(volume, 4.0 / 3 * std::numbers::pi * 0.343, 0.01);
  EXPECT_EQ(grid.colours[0], 51);
  EXPECT_EQ(grid.colours[1], 102);
  EXPECT_EQ(grid.colours[2], 153);
}

TEST(SolidField, CellsLieWhereTheirCentresSay) {
  const testing::AnalyticSolid octant(
      [](Vec3 p) { return p.x > 0.5f && p.y < -0.5f && p.z > 0 ? -1.0 : 1.0; });
  const VoxelGrid grid = voxelise(octant, 8, 1.0f);
  for (int z = 0; z < 8; ++z) {
    for (int y = 0; y < 8; ++y) {
      for (int x = 0; x < 8; ++x) {
        const Vec3 c = grid.cell_centre(x, y, z);
        const bool inside = c.x > 0.5f && c.y < -0.5f && c.z > 0;
        EXPECT_EQ(grid.occupancy[(z * 8 + y) * 8 + x], inside ? 1.0f : 0.0f);
      }
    }
  }
  EXPECT_FLOAT_EQ(grid.cell_centre(0, 0, 0).x, -0.875f);
}

TEST(SolidField, VolumeIouOfConcentricBallsIsTheVolumeRatio) {
  EXPECT_NEAR(volume_iou(ball(0.5), ball(0.9), 128), std::pow(0.5 / 0.9, 3), 2e-3);
  EXPECT_DOUBLE_EQ(volume_iou(ball(0.5), ball(0.5)), 1.0);
  EXPECT_DOUBLE_EQ(volume_iou(ball(-1), ball(-1)), 1.0);
  EXPECT_DOUBLE_EQ(volume_iou(ball(-1), ball(0.5)), 0.0);
}

TEST(SolidField, ImpossibleGridsAreUsageErrors) {
  EXPECT_THROW(voxelise(ball(0.5), 0, 1.0f), Error);
  EXPECT_THROW(voxelise(ball(0.5), 1 << 20, 1.0f), Error);
  EXPECT_THROW(voxelise(ball(0.5), 8, 0.0f), Error);
  EXPECT_THROW(volume_iou(ball(0.5), ball(0.5), -3), Error);
}

}  // namespace
}  // namespace omni::geometry
