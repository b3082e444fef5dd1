#include "omni/geometry/smoothing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "omni/core/random.h"
#include "omni/geometry/iso_surface.h"
#include "omni/geometry/mesh_health.h"

namespace omni::geometry {
namespace {

constexpr int kResolution = 48;

Mesh extract(float (*inside)(Vec3)) {
  const auto field = [&](std::span<const Vec3> points, std::span<float> values) {
    for (std::size_t i = 0; i < points.size(); ++i) values[i] = inside(points[i]);
  };
  return extract_iso_surface(field, {.resolution = kResolution}).mesh;
}

float in_ball(Vec3 p) { return 0.7f - length(p); }
float in_box(Vec3 p) { return std::min({0.7f - std::abs(p.x), 0.5f - std::abs(p.y), 0.6f - std::abs(p.z)}); }

// Mean distance of the vertices from the surface on which `inside` is 0, where it is a distance.
double mean_distance(const Mesh& mesh, float (*inside)(Vec3)) {
  double sum = 0;
  for (const Vec3& p : mesh.positions) sum += std::abs(inside(p));
  return sum / static_cast<double>(mesh.positions.size());
}

void shake(Mesh& mesh, float distance) {
  CounterRng rng(9);
  for (Vec3& p : mesh.positions)
    p = p + Vec3{static_cast<float>(rng.uniform(-1, 1)), static_cast<float>(rng.uniform(-1, 1)),
                 static_cast<float>(rng.uniform(-1, 1))} *
                distance;
}

class Smoothing : public testing::TestWithParam<float (*)(Vec3)> {};

TEST_P(Smoothing, TakesNoiseOffTheSurface) {
  Mesh mesh = extract(GetParam());
  shake(mesh, 0.008f);
  const Mesh noisy = mesh;
  smooth(mesh);
  EXPECT_LT(mean_distance(mesh, GetParam()), 0.6 * mean_distance(noisy, GetParam()));
  EXPECT_EQ(mesh.triangles, noisy.triangles);
  EXPECT_TRUE(inspect(mesh).healthy());
}

TEST_P(Smoothing, HardlyChangesACleanSurface) {
  Mesh mesh = extract(GetParam());
  const Mesh clean = mesh;
  smooth(mesh);
  EXPECT_NEAR(mesh.signed_volume(), clean.signed_volume(), 0.01 * clean.signed_volume());
  EXPECT_LT(mean_distance(mesh, GetParam()), mean_distance(clean, GetParam()) + 0.002);
}

INSTANTIATE_TEST_SUITE_P(Of, Smoothing, testing::Values(&in_ball, &in_box));

TEST(SmoothingLimits, NoVertexMovesFurtherThanAllowed) {
  Mesh mesh = extract(&in_ball);
  shake(mesh, 0.02f);
  const Mesh noisy = mesh;
  double edges = 0;
  for (const auto& t : noisy.triangles)
    for (std::size_t i = 0; i < 3; ++i)
      edges += length(noisy.positions[t[i]] - noisy.positions[t[(i + 1) % 3]]);
  const double furthest = 0.2 * edges / (3.0 * static_cast<double>(noisy.triangles.size()));
  smooth(mesh, {.furthest_edges = 0.2});
  for (std::size_t i = 0; i < mesh.positions.size(); ++i)
    EXPECT_LE(length(mesh.positions[i] - noisy.positions[i]), furthest * 1.001);
}

TEST(SmoothingLimits, NothingAndBrokenTrianglesAreLeft) {
  Mesh nothing;
  smooth(nothing);
  EXPECT_TRUE(nothing.positions.empty());
  Mesh broken;
  broken.positions = {{0, 0, 0}, {1, 0, 0}, {1, 0, 0}, {0, 1, 0}};
  broken.triangles = {{0, 1, 2}, {0, 1, 3}};
  smooth(broken);
  for (const Vec3& p : broken.positions) EXPECT_TRUE(std::isfinite(p.x + p.y + p.z));
}

}  // namespace
}  // namespace omni::geometry
