#include "omni/geometry/simplification.h"

#include <gtest/gtest.h>

#include "analytic_shapes.h"
#include "omni/core/error.h"
#include "omni/geometry/iso_surface.h"
#include "omni/geometry/mesh_health.h"

namespace omni::geometry {
namespace {

template <class Value>
Mesh surface_of(const Value& value, int resolution) {
  return extract_iso_surface(
             [&](std::span<const Vec3> points, std::span<float> values) {
               for (std::size_t i = 0; i < points.size(); ++i) values[i] = value(points[i]);
             },
             {.resolution = resolution})
      .mesh;
}

// Thin, curved sheets with many tunnels: the hardest case for topology.
float gyroid_shell(Vec3 p) {
  const auto wave = [](float a, float b) { return std::sin(5 * a) * std::cos(5 * b); };
  return std::min(0.95f - length(p), 0.3f - std::abs(wave(p.x, p.y) + wave(p.y, p.z) + wave(p.z, p.x)));
}

std::int64_t euler_number(const MeshHealth& h) { return h.vertices - h.triangles * 3 / 2 + h.triangles; }

TEST(Simplification, ClosedManifoldMeshesStaySoWithTheirTopology) {
  const Mesh meshes[] = {surface_of(gyroid_shell, 64),
                         surface_of([](Vec3 p) { return float(-testing::torus_distance(p, 0.6, 0.25)); }, 64),
                         surface_of(
                             [](Vec3 p) {
                               return float(-testing::box_distance(p, {0.8f, 0.02f, 0.8f}));
                             },
                             64)};
  for (const Mesh& mesh : meshes) {
    const MeshHealth before = inspect(mesh);
    for (const std::size_t target : {8000, 2000, 400, 50}) {
      if (target >= mesh.triangles.size()) continue;
      const Mesh simple = simplify(mesh, target);
      const MeshHealth health = inspect(simple);
      EXPECT_TRUE(health.closed() && health.manifold()) << target;
      EXPECT_EQ(health.degenerate_triangles, 0);
      EXPECT_EQ(euler_number(health), euler_number(before));
      EXPECT_EQ(health.components, before.components);
      if (target >= 8000) {
        EXPECT_LE(simple.triangles.size(), target);
        EXPECT_NEAR(health.volume, before.volume, 0.02 * before.volume);
      }
    }
  }
}

TEST(Simplification, FlatBoxNeedsTwelveTriangles) {
  const Mesh simple = simplify(testing::box_mesh({0.5f, 0.25f, 0.75f}, 8), 12);
  const MeshHealth health = inspect(simple);
  EXPECT_EQ(health.triangles, 12);
  EXPECT_NEAR(health.volume, 8 * 0.5 * 0.25 * 0.75, 1e-6);
}

TEST(Simplification, SphereKeepsItsVolumeAndColours) {
  Mesh sphere = testing::sphere_mesh(0.8f, 40);
  for (const Vec3& p : sphere.positions) sphere.colours.push_back(p.y > 0 ? Vec3{1, 0, 0} : Vec3{0, 0, 1});
  compute_smooth_normals(sphere);
  const Mesh simple = simplify(sphere, 1000);
  EXPECT_LE(simple.triangles.size(), 1000u);
  EXPECT_GE(simple.triangles.size(), 990u);
  EXPECT_NEAR(inspect(simple).volume, inspect(sphere).volume, 0.01);
  ASSERT_EQ(simple.colours.size(), simple.positions.size());
  ASSERT_EQ(simple.normals.size(), simple.positions.size());
  for (std::size_t v = 0; v < simple.positions.size(); ++v) {
    if (std::abs(simple.positions[v].y) < 0.15f) continue;
    EXPECT_NEAR(simple.colours[v].x, simple.positions[v].y > 0 ? 1 : 0, 0.05);
    EXPECT_GT(dot(simple.normals[v], normalised(simple.positions[v])), 0.9f);
  }
}

TEST(Simplification, OpenMeshKeepsItsBorder) {
  const Mesh sheet = testing::grid_mesh(20, 20, false, false, [](double u, double v) {
    return Vec3{float(u), float(0.02 * std::sin(9 * u)), float(-v)};
  });
  const Mesh simple = simplify(sheet, 200);
  EXPECT_LT(simple.triangles.size(), 400u);
  EXPECT_EQ(inspect(simple).boundary_edges, inspect(sheet).boundary_edges);
  EXPECT_LE(simple.positions.size(), sheet.positions.size());
}

TEST(Simplification, NothingToDoAndNothingAtAll) {
  const Mesh box = testing::box_mesh({1, 1, 1}, 2);
  EXPECT_EQ(simplify(box, 1000).triangles, box.triangles);
  EXPECT_TRUE(simplify(Mesh{}, 10).triangles.empty());
  EXPECT_TRUE(inspect(simplify(box, 0)).closed());
  Mesh broken = box;
  broken.triangles[0][1] = 12345;
  EXPECT_THROW(simplify(broken, 4), Error);
}

TEST(Simplification, FloatersGoAndLargePartsStay) {
  Mesh mesh = testing::sphere_mesh(0.5f, 8);
  Mesh small = testing::sphere_mesh(0.05f, 4);
  for (Vec3& p : small.positions) p.x += 0.9f;
  Mesh medium = testing::sphere_mesh(0.3f, 6);
  for (Vec3& p : medium.positions) p.x -= 0.9f;
  append(mesh, small);
  append(mesh, medium);
  EXPECT_EQ(inspect(mesh).components, 3);
  const Mesh cleaned = remove_floaters(mesh, 0.01);
  EXPECT_EQ(inspect(cleaned).components, 2);
  EXPECT_NEAR(inspect(cleaned).volume, inspect(mesh).volume - inspect(small).volume, 1e-5);
  EXPECT_EQ(inspect(remove_floaters(mesh, 0)).components, 3);
  EXPECT_EQ(inspect(remove_floaters(mesh, 1)).components, 1);
}

TEST(Simplification, SmoothNormalsPointOutwards) {
  Mesh sphere = testing::sphere_mesh(1.0f, 16);
  compute_smooth_normals(sphere);
  for (std::size_t v = 0; v < sphere.positions.size(); ++v) {
    EXPECT_GT(dot(sphere.normals[v], sphere.positions[v]), 0.99f);
  }
}

}  // namespace
}  // namespace omni::geometry
