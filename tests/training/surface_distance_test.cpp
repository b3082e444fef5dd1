#include "surface_distance.h"

#include <gtest/gtest.h>

#include "analytic_shapes.h"
#include "omni/core/random.h"
#include "omni/geometry/mesh_field.h"

namespace omni::training {
namespace {

using geometry::Vec3;
namespace shapes = geometry::testing;

constexpr float kRadius = 0.5f, kOffset = 0.3f;

double one_ball(Vec3 p, float side) {
  return shapes::sphere_distance(p - Vec3{side * kOffset, 0, 0}, kRadius);
}

// Two balls that overlap: each one's mesh is partly buried in the other.
data::ObjectRecord two_balls() {
  data::ObjectRecord record;
  for (const float side : {-1.0f, 1.0f}) {
    geometry::Mesh ball = shapes::sphere_mesh(kRadius, 40);
    for (Vec3& p : ball.positions) p.x += side * kOffset;
    append(record.mesh, ball);
  }
  const auto distance = [](Vec3 p) { return std::min(one_ball(p, -1), one_ball(p, 1)); };
  record.field = std::make_unique<shapes::AnalyticSolid<decltype(distance)>>(distance);
  return record;
}

// By trying many points of the surface of the union.
double brute_distance(Vec3 p) {
  static const std::vector<Vec3> surface = [] {
    std::vector<Vec3> points;
    CounterRng rng(7);
    while (points.size() < 60000) {
      const float side = rng.chance(0.5) ? -1.0f : 1.0f;
      const Vec3 direction = normalised(Vec3{float(rng.normal()), float(rng.normal()), float(rng.normal())});
      const Vec3 point = direction * kRadius + Vec3{side * kOffset, 0, 0};
      if (one_ball(point, -side) > 0) points.push_back(point);
    }
    return points;
  }();
  double nearest = 10;
  for (const Vec3& q : surface) nearest = std::min(nearest, double(length(q - p)));
  return nearest;
}

TEST(SurfaceDistance, BuriedPartsDoNotCount) {
  const data::ObjectRecord record = two_balls();
  CounterRng rng(1);
  std::vector<Vec3> points = {{0, 0, 0}, {0.2f, 0, 0}};  // on the buried halves, deep inside
  for (int i = 0; i < 200; ++i)
    points.push_back({float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1))});
  std::vector<std::uint8_t> inside(points.size());
  record.field->occupancy(points, inside);
  const auto distances = signed_distances(record, {1, 1, 1}, points, inside);
  for (std::size_t i = 0; i < points.size(); ++i) {
    EXPECT_NEAR(std::abs(distances[i]), brute_distance(points[i]), 0.03) << i;
    EXPECT_EQ(distances[i] > 0, inside[i] != 0) << i;
  }
  EXPECT_GT(distances[0], 0.3);
}

TEST(SurfaceDistance, FollowsTheScale) {
  for (const bool labelled : {false, true}) {
    data::ObjectRecord record;
    record.mesh = shapes::box_mesh({0.8f, 0.6f, 0.4f}, 4);
    const auto distance = [](Vec3 p) { return shapes::box_distance(p, {0.8f, 0.6f, 0.4f}); };
    if (labelled)
      record.field = std::make_unique<geometry::MeshField>(record.mesh);
    else
      record.field = std::make_unique<shapes::AnalyticSolid<decltype(distance)>>(distance);
    const std::vector<Vec3> points = {{0, 0, 0}, {0.5f, 0.1f, 0}, {0, 0.65f, 0}, {0, 0, 0.3f}};
    for (const Vec3 scale : {Vec3{1, 1, 1}, Vec3{0.5f, 1, 0.9f}}) {
      std::vector<std::uint8_t> inside;
      for (const Vec3 p : points)
        inside.push_back(distance({p.x / scale.x, p.y / scale.y, p.z / scale.z}) < 0);
      const auto distances = signed_distances(record, scale, points, inside);
      for (std::size_t i = 0; i < points.size(); ++i)
        EXPECT_NEAR(distances[i], -shapes::box_distance(points[i], Vec3{0.8f, 0.6f, 0.4f} * scale), 1e-4)
            << labelled << ' ' << i;
    }
  }
}

}  // namespace
}  // namespace omni::training
