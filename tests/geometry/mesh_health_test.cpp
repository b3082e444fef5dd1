#include "omni/geometry/mesh_health.h"

#include <gtest/gtest.h>

#include "analytic_shapes.h"
#include "omni/core/error.h"
#include "omni/core/random.h"

namespace omni::geometry {
namespace {

Mesh tetrahedron() {
  Mesh mesh;
  mesh.positions = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
  mesh.triangles = {{0, 2, 1}, {0, 1, 3}, {1, 2, 3}, {2, 0, 3}};
  return mesh;
}

TEST(MeshHealth, TetrahedronIsHealthy) {
  const MeshHealth health = inspect(tetrahedron());
  EXPECT_TRUE(health.closed());
  EXPECT_TRUE(health.manifold());
  EXPECT_EQ(health.vertices, 4);
  EXPECT_EQ(health.triangles, 4);
  EXPECT_EQ(health.components, 1);
  EXPECT_NEAR(health.volume, 1.0 / 6, 1e-12);
  EXPECT_NEAR(health.area, 1.5 + std::sqrt(3.0) / 2, 1e-7);
}

TEST(MeshHealth, SplitVerticesCountAsOne) {
  Mesh mesh;
  const Mesh source = tetrahedron();
  for (const auto& triangle : source.triangles) {
    const auto base = static_cast<std::uint32_t>(mesh.positions.size());
    for (const auto vertex : triangle) mesh.positions.push_back(source.positions[vertex]);
    mesh.triangles.push_back({base, base + 1, base + 2});
  }
  mesh.positions[0].x = -0.0f;
  const MeshHealth health = inspect(mesh);
  EXPECT_EQ(health.vertices, 4);
  EXPECT_TRUE(health.closed() && health.manifold());
}

Mesh joined(const Mesh& a, const Mesh& b, Vec3 shift) {
  Mesh mesh = a;
  const auto first = static_cast<std::uint32_t>(mesh.positions.size());
  for (const Vec3 p : b.positions) mesh.positions.push_back(p + shift);
  for (const auto& t : b.triangles) mesh.triangles.push_back({t[0] + first, t[1] + first, t[2] + first});
  return mesh;
}

TEST(MeshHealth, CountsTrianglesThatOthersRunThrough) {
  EXPECT_EQ(count_self_intersections(Mesh{}), 0);
  EXPECT_EQ(count_self_intersections(tetrahedron()), 0);
  EXPECT_EQ(count_self_intersections(testing::torus_mesh(0.6, 0.2)), 0);
  const Mesh ring = testing::torus_mesh(0.6, 0.2);
  EXPECT_GT(count_self_intersections(joined(ring, ring, {0.3f, 0.01f, 0})), 100);
  // Apart, and one inside the other: no contact.
  EXPECT_EQ(count_self_intersections(joined(tetrahedron(), tetrahedron(), {2, 0, 0})), 0);
  Mesh small = tetrahedron();
  for (Vec3& p : small.positions) p = p * 0.1f;
  EXPECT_EQ(count_self_intersections(joined(tetrahedron(), small, {0.1f, 0.1f, 0.1f})), 0);
  // Shifted along x, the second one's tip side pokes through the slanted face: its three faces at the origin
  // corner's sides cross that face, its far face does not reach back.
  EXPECT_EQ(count_self_intersections(joined(tetrahedron(), small, {0.3f, 0.3f, 0.35f})), 4);
  // Two boxes that share a face plane only touch.
  EXPECT_EQ(count_self_intersections(
                joined(testing::box_mesh({1, 1, 1}, 1), testing::box_mesh({1, 1, 1}, 1), {2, 0, 0})),
            0);
}

// Two triangles as seen by sampling: points of one on both sides of the other, inside its prism.
TEST(MeshHealth, AgreesWithTryingEveryPair) {
  CounterRng rng(5);
  const auto place = [&] { return static_cast<float>(rng.uniform(-1, 1)); };
  Mesh soup;
  for (int t = 0; t < 300; ++t) {
    const Vec3 centre{place(), place(), place()};
    const auto base = static_cast<std::uint32_t>(soup.positions.size());
    for (int i = 0; i < 3; ++i) soup.positions.push_back(centre + 0.3f * Vec3{place(), place(), place()});
    soup.triangles.push_back({base, base + 1, base + 2});
  }
  // Moeller & Trumbore 1997: where does the segment meet the triangle's plane, in barycentric coordinates?
  const auto meets = [](Vec3 p, Vec3 q, Vec3 a, Vec3 b, Vec3 c) {
    const Vec3 d = q - p, u = b - a, v = c - a, h = cross(d, v), s = p - a, k = cross(s, u);
    const float f = 1 / dot(u, h), x = f * dot(s, h), y = f * dot(d, k), t = f * dot(v, k);
    return x >= 0 && y >= 0 && x + y <= 1 && t > 0 && t < 1;
  };
  std::int64_t expected = 0;
  for (std::size_t i = 0; i < 300; ++i) {
    bool crossing = false;
    for (std::size_t j = 0; j < 300; ++j) {
      const Vec3 *a = &soup.positions[3 * i], *b = &soup.positions[3 * j];
      for (int e = 0; e < 3 && i != j; ++e)
        crossing |=
            meets(a[e], a[(e + 1) % 3], b[0], b[1], b[2]) || meets(b[e], b[(e + 1) % 3], a[0], a[1], a[2]);
    }
    expected += crossing;
  }
  EXPECT_GT(expected, 50);
  EXPECT_EQ(count_self_intersections(soup), expected);
}

TEST(MeshHealth, CountsEachDefect) {
  Mesh open = tetrahedron();
  open.triangles.pop_back();
  EXPECT_EQ(inspect(open).boundary_edges, 3);
  EXPECT_FALSE(inspect(open).closed());
  EXPECT_TRUE(inspect(open).manifold());

  Mesh flipped = tetrahedron();
  std::swap(flipped.triangles[0][0], flipped.triangles[0][1]);
  EXPECT_EQ(inspect(flipped).misoriented_edges, 3);
  EXPECT_FALSE(inspect(flipped).manifold());

  Mesh doubled = tetrahedron();
  doubled.triangles.push_back({0, 1, 2});
  EXPECT_EQ(inspect(doubled).non_manifold_edges, 3);

  Mesh degenerate = tetrahedron();
  degenerate.triangles.push_back({0, 0, 1});
  degenerate.positions.push_back({2, 0, 0});
  degenerate.triangles.push_back({0, 1, 4});
  EXPECT_EQ(inspect(degenerate).degenerate_triangles, 2);
}

TEST(MeshHealth, TwoSolidsThatTouchInAPointAreNotManifold) {
  Mesh mesh = tetrahedron();
  mesh.positions.insert(mesh.positions.end(), {{-1, 0, 0}, {0, -1, 0}, {0, 0, -1}});
  mesh.triangles.insert(mesh.triangles.end(), {{0, 4, 5}, {0, 6, 4}, {4, 6, 5}, {5, 6, 0}});
  const MeshHealth health = inspect(mesh);
  EXPECT_TRUE(health.closed());
  EXPECT_EQ(health.non_manifold_vertices, 1);
  EXPECT_EQ(health.non_manifold_edges, 0);
  EXPECT_FALSE(health.manifold());
}

TEST(MeshHealth, AnalyticShapesAreHealthyWithTheirVolumes) {
  const MeshHealth torus = inspect(testing::torus_mesh(0.6, 0.25, 256, 128));
  EXPECT_TRUE(torus.closed() && torus.manifold());
  EXPECT_NEAR(torus.volume, 2 * std::numbers::pi * std::numbers::pi * 0.6 * 0.0625, 2e-3);
  const MeshHealth box = inspect(testing::box_mesh({0.5f, 0.25f, 0.125f}));
  EXPECT_TRUE(box.closed() && box.manifold());
  EXPECT_NEAR(box.volume, 0.125, 1e-6);
  EXPECT_NEAR(box.area, 2 * (0.5 + 0.25 + 0.125), 1e-6);
  const MeshHealth sphere = inspect(testing::sphere_mesh(0.8f));
  EXPECT_TRUE(sphere.closed() && sphere.manifold());
  EXPECT_NEAR(sphere.volume, 4.0 / 3 * std::numbers::pi * 0.512, 5e-3);
}

TEST(MeshHealth, CountsComponents) {
  Mesh mesh = tetrahedron();
  const Mesh source = tetrahedron();
  for (const Vec3& p : source.positions) mesh.positions.push_back(p + Vec3{5, 0, 0});
  for (const auto& t : source.triangles) mesh.triangles.push_back({t[0] + 4, t[1] + 4, t[2] + 4});
  EXPECT_EQ(inspect(mesh).components, 2);
}

TEST(MeshHealth, EmptyMeshIsNotClosedAndBadIndicesAreErrors) {
  EXPECT_FALSE(inspect(Mesh{}).closed());
  Mesh broken = tetrahedron();
  broken.triangles.push_back({0, 1, 9});
  EXPECT_THROW(inspect(broken), Error);
}

TEST(MeshHealth, NothingButPointsIsNotClosed) {
  Mesh mesh;
  mesh.positions = {{1, 2, 3}, {1, 2, 3}, {1, 2, 3}};
  mesh.triangles = {{0, 1, 2}};
  const MeshHealth health = inspect(mesh);
  EXPECT_EQ(health.degenerate_triangles, 1);
  EXPECT_FALSE(health.closed());
  EXPECT_FALSE(health.healthy());
}

TEST(MeshHealth, NanVerticesCountAsDegenerate) {
  Mesh mesh = tetrahedron();
  mesh.positions[3].z = std::nanf("");
  EXPECT_EQ(inspect(mesh).degenerate_triangles, 3);
}

}  // namespace
}  // namespace omni::geometry
