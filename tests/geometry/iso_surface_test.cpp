#include "omni/geometry/iso_surface.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "analytic_shapes.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/geometry/mesh_health.h"

namespace omni::geometry {
namespace {

FieldFunction pointwise(std::function<float(Vec3)> value) {
  return [value](std::span<const Vec3> points, std::span<float> values) {
    for (std::size_t i = 0; i < points.size(); ++i) values[i] = value(points[i]);
  };
}

void expect_watertight(const Mesh& mesh) {
  const MeshHealth health = inspect(mesh);
  EXPECT_TRUE(health.closed()) << health.boundary_edges << " boundary edges";
  EXPECT_TRUE(health.manifold()) << health.non_manifold_edges << " edges, " << health.misoriented_edges
                                 << " misoriented, " << health.non_manifold_vertices << " vertices";
  EXPECT_EQ(health.degenerate_triangles, 0);
  EXPECT_EQ(health.vertices, static_cast<std::int64_t>(mesh.positions.size()));
  EXPECT_GT(health.volume, 0);
}

void expect_equal_meshes(const Mesh& a, const Mesh& b) {
  ASSERT_EQ(a.positions.size(), b.positions.size());
  EXPECT_TRUE(a.positions == b.positions);
  EXPECT_TRUE(a.triangles == b.triangles);
}

// Balls that melt into each other: curved everywhere, with necks and hollows.
float blobs(Vec3 p) {
  const Vec3 centres[] = {{-0.4f, 0, 0}, {0.35f, 0.2f, 0.1f}, {0, -0.45f, 0.3f}, {0.1f, 0.3f, -0.5f}};
  float sum = -0.5f;
  for (const Vec3& c : centres) sum += std::exp(-10 * dot(p - c, p - c));
  return sum;
}

TEST(IsoSurface, SphereHasItsVolumeAndArea) {
  const auto result = extract_iso_surface(
      pointwise([](Vec3 p) { return float(-testing::sphere_distance(p, 0.8)); }), {.resolution = 96});
  expect_watertight(result.mesh);
  const MeshHealth health = inspect(result.mesh);
  EXPECT_NEAR(health.volume, 4.0 / 3 * std::numbers::pi * 0.512, 2e-3);
  EXPECT_NEAR(health.area, 4 * std::numbers::pi * 0.64, 5e-3);
  EXPECT_EQ(health.components, 1);
}

TEST(IsoSurface, TorusHasGenusOne) {
  const auto result = extract_iso_surface(
      pointwise([](Vec3 p) { return float(-testing::torus_distance(p, 0.6, 0.25)); }), {.resolution = 64});
  expect_watertight(result.mesh);
  const auto triangles = static_cast<std::int64_t>(result.mesh.triangles.size());
  EXPECT_EQ(static_cast<std::int64_t>(result.mesh.positions.size()) - triangles * 3 / 2 + triangles, 0);
}

// Random signs give every one of the 256 cells many times over, next to every other.
TEST(IsoSurface, RandomFieldsAreClosedAndManifold) {
  CounterRng rng(7);
  for (int trial = 0; trial < 60; ++trial) {
    const IsoSurfaceOptions options{.resolution = 3 + trial % 13};
    const int points = options.resolution + 1;
    std::vector<float> values(std::size_t(points) * points * points);
    const double share = rng.uniform(0.1, 0.9);
    for (float& value : values)
      value = static_cast<float>(rng.uniform() < share ? rng.uniform() : -rng.uniform());
    expect_watertight(extract_iso_surface(values, options));
  }
}

TEST(IsoSurface, ValuesAtTheIsovalueAndNonFiniteOnesStayManifold) {
  CounterRng rng(11);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float palette[] = {0.0f, 0.0f, 1.0f, -1.0f, std::nanf(""), kInfinity, -kInfinity, 1e-30f, 1e30f};
  for (int trial = 0; trial < 20; ++trial) {
    const IsoSurfaceOptions options{.resolution = 12};
    std::vector<float> values(13 * 13 * 13);
    for (float& value : values) value = palette[rng.below(std::size(palette))];
    const Mesh mesh = extract_iso_surface(values, options);
    expect_watertight(mesh);
    for (const Vec3& p : mesh.positions) EXPECT_TRUE(std::isfinite(p.x + p.y + p.z));
  }
}

TEST(IsoSurface, SolidThatFillsTheBoxIsClosedAtTheBorder) {
  for (const int factor : {1, 3, 4}) {
    const auto result = extract_iso_surface(pointwise([](Vec3) { return 1.0f; }),
                                            {.resolution = 64, .coarse_factor = factor});
    expect_watertight(result.mesh);
    EXPECT_NEAR(inspect(result.mesh).volume, std::pow(2.1, 3), 0.02);
  }
}

TEST(IsoSurface, NothingInsideGivesAnEmptyMesh) {
  const auto result = extract_iso_surface(pointwise([](Vec3) { return -1.0f; }), {.resolution = 16});
  EXPECT_TRUE(result.mesh.triangles.empty());
  EXPECT_TRUE(result.mesh.positions.empty());
}

TEST(IsoSurface, CoarseToFineEqualsDenseOnSmoothFields) {
  const std::function<float(Vec3)> fields[] = {
      [](Vec3 p) { return float(-testing::sphere_distance(p, 0.8)); },
      [](Vec3 p) { return float(-testing::torus_distance(p, 0.6, 0.25)); },
      [](Vec3 p) {
        return float(-testing::box_distance(p, {0.9f, 0.3f, 0.6f}));
      },
      blobs};
  for (const auto& field : fields) {
    for (const int resolution : {64, 100, 128}) {
      IsoSurfaceOptions options{.resolution = resolution, .coarse_factor = 1};
      const auto dense = extract_iso_surface(pointwise(field), options);
      EXPECT_EQ(dense.field_queries, std::int64_t(resolution + 1) * (resolution + 1) * (resolution + 1));
      for (const int factor : {2, 4, 6}) {
        for (const int dilation : {0, 1}) {
          options.coarse_factor = factor;
          options.dilation_cells = dilation;
          const auto sparse = extract_iso_surface(pointwise(field), options);
          expect_equal_meshes(sparse.mesh, dense.mesh);
        }
      }
    }
  }
}

TEST(IsoSurface, CoarseToFineAsksForFewerValues) {
  std::int64_t asked = 0;
  const FieldFunction counted = [&](std::span<const Vec3> points, std::span<float> values) {
    asked += static_cast<std::int64_t>(points.size());
    for (std::size_t i = 0; i < points.size(); ++i)
      values[i] = float(-testing::sphere_distance(points[i], 0.8));
  };
  const auto result = extract_iso_surface(counted, {.resolution = 128});
  EXPECT_EQ(result.field_queries, asked);
  EXPECT_LT(asked, 129 * 129 * 129 / 16);
}

// A thin wall between coarse points is followed from the ball that touches it.
TEST(IsoSurface, RefinementFollowsTheSurfaceThroughCellsThatNoCornerSeparates) {
  const auto field = pointwise([](Vec3 p) {
    const double wall = testing::box_distance(p - Vec3{0, 0.02f, 0}, {0.8f, 0.04f, 0.8f});
    return float(-std::min(wall, testing::sphere_distance(p, 0.3)));
  });
  IsoSurfaceOptions options{.resolution = 64, .coarse_factor = 8, .dilation_cells = 0};
  const auto sparse = extract_iso_surface(field, options);
  options.coarse_factor = 1;
  expect_equal_meshes(sparse.mesh, extract_iso_surface(field, options).mesh);
}

// Two concentric sheets that no surface joins; in the first case coarse cells are up to three times as wide
// as the wall between them.
TEST(IsoSurface, ThinHollowShellsAreTheDenseGrids) {
  for (const double thickness : {0.05, 0.2}) {
    const auto field = pointwise(
        [thickness](Vec3 p) { return float(thickness / 2 - std::abs(testing::sphere_distance(p, 0.7))); });
    for (const int factor : {2, 4, 5}) {
      IsoSurfaceOptions options{.resolution = 64, .coarse_factor = factor};
      const auto sparse = extract_iso_surface(field, options);
      options.coarse_factor = 1;
      expect_equal_meshes(sparse.mesh, extract_iso_surface(field, options).mesh);
    }
  }
}

// Where features are smaller than any cell, parts are missed, but what comes out is whole, and every vertex
// lies where the field changes sign.
TEST(IsoSurface, NoiseStaysWatertightCoarseToFine) {
  const auto noise = [](double share) {
    return [share](Vec3 p) {
      const std::uint64_t bits = hash_string({reinterpret_cast<const char*>(&p), sizeof p});
      const double unit = static_cast<double>(bits >> 11) / static_cast<double>(std::uint64_t{1} << 53);
      return static_cast<float>(share - unit);
    };
  };
  for (const double share : {0.03, 0.3, 0.5, 0.9}) {
    for (const int factor : {2, 3, 4, 7}) {
      for (const int dilation : {0, 1, 2}) {
        const IsoSurfaceOptions options{
            .resolution = 22, .coarse_factor = factor, .dilation_cells = dilation};
        const auto result = extract_iso_surface(pointwise(noise(share)), options);
        if (!result.mesh.triangles.empty()) expect_watertight(result.mesh);
      }
    }
  }
}

// A speck beside a ball, seen by no coarse point, is found where whole cells are evaluated.
TEST(IsoSurface, DilationFindsSmallPartsNearTheSurface) {
  const auto field = pointwise([](Vec3 p) {
    const Vec3 speck{0.66f, 0.02f, 0.03f};
    return float(-std::min(testing::sphere_distance(p, 0.5), testing::sphere_distance(p - speck, 0.04)));
  });
  IsoSurfaceOptions options{.resolution = 64, .coarse_factor = 8};
  EXPECT_EQ(inspect(extract_iso_surface(field, options).mesh).components, 1);
  options.dilation_cells = 2;
  const auto sparse = extract_iso_surface(field, options);
  EXPECT_EQ(inspect(sparse.mesh).components, 2);
  options.coarse_factor = 1;
  expect_equal_meshes(sparse.mesh, extract_iso_surface(field, options).mesh);
}

TEST(IsoSurface, WrongOptionsAreUsageErrors) {
  const auto field = pointwise([](Vec3) { return 1.0f; });
  EXPECT_THROW(extract_iso_surface(field, {.resolution = 1}), Error);
  EXPECT_THROW(extract_iso_surface(field, {.resolution = 100000}), Error);
  EXPECT_THROW(extract_iso_surface(field, {.half_extent = 0}), Error);
  EXPECT_THROW(extract_iso_surface(field, {.coarse_factor = 0}), Error);
  EXPECT_THROW(extract_iso_surface(std::vector<float>(10), {.resolution = 4}), Error);
}

}  // namespace
}  // namespace omni::geometry
