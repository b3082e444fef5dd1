#include "primitive.h"

#include <gtest/gtest.h>

#include "omni/core/random.h"
#include "omni/geometry/mesh_health.h"
#include "primitive_solid.h"
#include "solid_builder.h"

namespace omni::data {
namespace {

using geometry::Bounds;
using geometry::Mesh;
using geometry::Vec3;

std::vector<Primitive> one_of_each() {
  SolidBuilder s;
  s.box({0.1f, 0, 0}, {0.3f, 0.5f, 0.2f}, 0);
  s.ellipsoid({0, 0.1f, 0}, {0.3f, 0.5f, 0.4f}, 0);
  s.cylinder({0, 0, 0.1f}, 0.4f, 0.3f, 0, Axis::x);
  s.taper(Section::round, {0, 0, 0}, {0.4f, 0.5f, 0.3f}, 0.0f, 0);
  s.taper(Section::round, {0, 0, 0}, {0.4f, 0.5f, 0.3f}, 1.4f, 0);
  s.taper(Section::square, {0, 0, 0}, {0.4f, 0.5f, 0.3f}, 0.0f, 0);
  s.taper(Section::square, {0, 0, 0}, {0.4f, 0.5f, 0.3f}, 0.5f, 0);
  s.torus({0, 0, 0}, 0.5f, 0.15f, 0, Axis::z);
  s.capsule({0, 0, 0}, 0.2f, 0.6f, 0, Axis::x);
  s.capsule({0, 0, 0}, 0.3f, 0.3f, 0);
  s.tube({0, 0, 0}, 0.5f, 0.3f, 0.4f, 0);
  s.wedge({0, 0, 0}, {0.4f, 0.3f, 0.5f}, 0, 0);
  s.wedge({0, 0, 0}, {0.4f, 0.3f, 0.5f}, -1, 0);
  rotate(s.wedge({0.1f, 0.2f, 0}, {0.4f, 0.3f, 0.2f}, -0.5f, 0), Axis::y, 120);
  rotate(s.box({0, 0, 0}, {0.4f, 0.3f, 0.2f}, 0), Axis::z, 30);
  return s.primitives();
}

Mesh mesh_of(const Primitive& p) {
  Mesh mesh;
  append_primitive_mesh(p, {1, 0, 0}, mesh);
  return mesh;
}

// The winding number of a closed mesh at a point, by summed solid angles (van Oosterom and Strackee 1983).
double winding_number(const Mesh& mesh, Vec3 q) {
  double total = 0;
  for (const auto& t : mesh.triangles) {
    const Vec3 a = mesh.positions[t[0]] - q, b = mesh.positions[t[1]] - q, c = mesh.positions[t[2]] - q;
    const double la = length(a), lb = length(b), lc = length(c);
    const double denominator = la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb;
    total += 2 * std::atan2(static_cast<double>(dot(a, cross(b, c))), denominator);
  }
  return total / (4 * 3.14159265358979);
}

TEST(Primitive, MeshesAreClosedManifoldAndOutward) {
  for (const Primitive& p : one_of_each()) {
    const geometry::MeshHealth health = geometry::inspect(mesh_of(p));
    EXPECT_TRUE(health.closed()) << static_cast<int>(p.kind);
    EXPECT_TRUE(health.manifold()) << static_cast<int>(p.kind);
    EXPECT_EQ(health.degenerate_triangles, 0) << static_cast<int>(p.kind);
    EXPECT_EQ(health.components, 1);
    EXPECT_GT(health.volume, 0);
  }
}

TEST(Primitive, OccupancyDistanceAndMeshAgreeOnRandomPoints) {
  CounterRng rng(5);
  for (const Primitive& p : one_of_each()) {
    const Mesh mesh = mesh_of(p);
    const PrimitiveSolid solid({p}, {{1, 0, 0}});
    std::vector<Vec3> points;
    for (int i = 0; i < 1000; ++i)
      points.push_back({static_cast<float>(rng.uniform(-0.8, 0.8)),
                        static_cast<float>(rng.uniform(-0.8, 0.8)),
                        static_cast<float>(rng.uniform(-0.8, 0.8))});
    std::vector<std::uint8_t> inside(points.size());
    solid.occupancy(points, inside);
    for (std::size_t i = 0; i < points.size(); ++i) {
      const float distance = signed_distance(p, points[i]);
      if (std::abs(distance) < 1e-5f) continue;
      EXPECT_EQ(inside[i] != 0, distance < 0) << static_cast<int>(p.kind);
      // The mesh lies inside a curved solid by up to a hundredth of its radius.
      if (std::abs(distance) < 0.015f) continue;
      EXPECT_EQ(inside[i] != 0, winding_number(mesh, points[i]) > 0.5)
          << static_cast<int>(p.kind) << " " << distance;
    }
  }
}

TEST(Primitive, BoundsEncloseTheMeshTightly) {
  for (const Primitive& p : one_of_each()) {
    const Bounds exact = primitive_bounds(p), mesh = mesh_of(p).bounds();
    for (std::size_t axis = 0; axis < 3; ++axis) {
      EXPECT_NEAR(exact.low[axis], mesh.low[axis], 1e-5f) << static_cast<int>(p.kind);
      EXPECT_NEAR(exact.high[axis], mesh.high[axis], 1e-5f) << static_cast<int>(p.kind);
    }
  }
}

TEST(PrimitiveSolid, ColourIsThatOfTheNearestPrimitive) {
  SolidBuilder s;
  s.box({-0.5f, 0, 0}, {0.2f, 0.2f, 0.2f}, 0);
  s.ball({0.5f, 0, 0}, 0.3f, 1);
  const PrimitiveSolid solid(s.primitives(), {{1, 0, 0}, {0, 0, 1}});
  const std::vector<Vec3> points = {
      {-0.5f, 0, 0}, {-0.9f, 0, 0}, {0.5f, 0.31f, 0}, {0.1f, 0, 0}, {-0.1f, 0, 0}};
  std::vector<Vec3> colours(points.size());
  solid.colour(points, colours);
  EXPECT_EQ(colours[0], (Vec3{1, 0, 0}));
  EXPECT_EQ(colours[1], (Vec3{1, 0, 0}));
  EXPECT_EQ(colours[2], (Vec3{0, 0, 1}));
  EXPECT_EQ(colours[3], (Vec3{0, 0, 1}));
  EXPECT_EQ(colours[4], (Vec3{1, 0, 0}));
}

}  // namespace
}  // namespace omni::data
