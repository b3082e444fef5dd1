#include "omni/geometry/level_feet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "omni/geometry/iso_surface.h"
#include "omni/geometry/mesh_health.h"

namespace omni::geometry {
namespace {

// A table 1 high whose four legs end at the given heights.
Mesh table(std::array<float, 4> leg_ends) {
  const auto inside_box = [](Vec3 p, Vec3 low, Vec3 high) {
    return std::min({p.x - low.x, high.x - p.x, p.y - low.y, high.y - p.y, p.z - low.z, high.z - p.z});
  };
  const auto field = [&](std::span<const Vec3> points, std::span<float> values) {
    for (std::size_t i = 0; i < points.size(); ++i) {
      float value = inside_box(points[i], {-0.8f, 0.3f, -0.8f}, {0.8f, 0.5f, 0.8f});
      for (int leg = 0; leg < 4; ++leg) {
        const float x = leg % 2 ? 0.6f : -0.6f, z = leg / 2 ? 0.6f : -0.6f;
        value = std::max(value, inside_box(points[i], {x - 0.15f, leg_ends[leg] - 0.5f, z - 0.15f},
                                           {x + 0.15f, 0.4f, z + 0.15f}));
      }
      values[i] = value;
    }
  };
  return extract_iso_surface(field, {.resolution = 64}).mesh;
}

// The lowest vertex of each leg.
std::array<float, 4> ends_of(const Mesh& mesh) {
  std::array<float, 4> ends = {1, 1, 1, 1};
  for (const Vec3& p : mesh.positions) {
    float& end = ends[(p.x > 0 ? 1 : 0) + (p.z > 0 ? 2 : 0)];
    end = std::min(end, p.y);
  }
  return ends;
}

TEST(LevelFeet, BringsFeetOfNearlyOneHeightToTheGround) {
  Mesh mesh = table({0, 0.01f, 0.025f, 0.015f});
  const Mesh before = mesh;
  ASSERT_GT(ends_of(mesh)[2] - ends_of(mesh)[0], 0.02f);
  level_feet(mesh);
  for (const float end : ends_of(mesh)) EXPECT_FLOAT_EQ(end, ends_of(before)[0]);
  EXPECT_EQ(mesh.triangles, before.triangles);
  std::size_t moved = 0;
  for (std::size_t i = 0; i < mesh.positions.size(); ++i) {
    const Vec3 from = before.positions[i], to = mesh.positions[i];
    EXPECT_EQ(to.x, from.x);
    EXPECT_EQ(to.z, from.z);
    EXPECT_LE(to.y, from.y + 1e-6f);
    if (from.y > -0.5f + 0.06f + 1e-3f) {
      EXPECT_EQ(to.y, from.y);
    }
    moved += to.y < from.y - 1e-4f ? 1 : 0;
  }
  EXPECT_GT(moved, 10u);
  const MeshHealth health = inspect(mesh);
  EXPECT_TRUE(health.healthy());
  EXPECT_EQ(health.degenerate_triangles, inspect(before).degenerate_triangles);
}

TEST(LevelFeet, KeepsTheOrderOfHeightsWithinAFoot) {
  Mesh mesh = table({0, 0.028f, 0, 0});
  const Mesh before = mesh;
  level_feet(mesh);
  for (std::size_t i = 0; i < mesh.positions.size(); ++i)
    for (std::size_t j = i + 1; j < mesh.positions.size(); j += 7) {
      const Vec3 a = before.positions[i], b = before.positions[j];
      if (a.x < 0 || b.x < 0 || a.z > 0 || b.z > 0 || a.y >= b.y) continue;  // of that leg's side alone
      EXPECT_LT(mesh.positions[i].y, mesh.positions[j].y);
    }
}

TEST(LevelFeet, LeavesWhatIsMeantToBeHigher) {
  const Mesh raised = table({0, 0, 0.1f, 0});
  Mesh mesh = raised;
  level_feet(mesh);
  EXPECT_NEAR(ends_of(mesh)[2], ends_of(raised)[2], 1e-6f);
}

TEST(LevelFeet, LeavesOneFootAndNothingAlone) {
  const auto ball = [](std::span<const Vec3> points, std::span<float> values) {
    for (std::size_t i = 0; i < points.size(); ++i) values[i] = 0.7f - length(points[i]);
  };
  const Mesh before = extract_iso_surface(ball, {.resolution = 32}).mesh;
  Mesh mesh = before;
  level_feet(mesh);
  EXPECT_EQ(mesh.positions, before.positions);
  Mesh nothing;
  level_feet(nothing);
  EXPECT_TRUE(nothing.positions.empty());
}

}  // namespace
}  // namespace omni::geometry
