#include "omni/geometry/shape_metrics.h"

#include <gtest/gtest.h>

#include "analytic_shapes.h"
#include "omni/core/error.h"
#include "omni/geometry/surface_points.h"
#include "point_tree.h"

namespace omni::geometry {
namespace {

TEST(PointTree, MatchesBruteForce) {
  CounterRng rng(1);
  for (const int count : {1, 2, 9, 100, 3000}) {
    std::vector<Vec3> points;
    for (int i = 0; i < count; ++i) {
      // Some on a coarse grid, so that ties and equal coordinates occur.
      const bool coarse = rng.chance(0.3);
      Vec3 p{float(rng.normal()), float(rng.normal()), float(rng.normal())};
      if (coarse) p = {std::round(p.x), std::round(p.y), std::round(p.z)};
      points.push_back(p);
    }
    const PointTree tree(points);
    for (int i = 0; i < 300; ++i) {
      const Vec3 query{float(rng.normal()), float(rng.normal()), std::round(float(rng.normal()))};
      float best = INFINITY;
      for (const Vec3& p : points) best = std::min(best, dot(p - query, p - query));
      const auto found = tree.nearest(query);
      EXPECT_EQ(found.squared_distance, best);
      EXPECT_EQ(dot(points[found.index] - query, points[found.index] - query), best);
    }
  }
}

TEST(ShapeMetrics, AShapeAgainstItselfIsNearlyPerfect) {
  const Mesh torus = testing::torus_mesh(0.6, 0.25);
  const auto result = compare_surfaces(torus, torus, 8192, CounterRng(1));
  EXPECT_LT(result.chamfer_l1, 0.02);  // the spacing of the samples
  EXPECT_GT(result.f_score_1, 0.9);
  EXPECT_GT(result.f_score_2, 0.99);
  EXPECT_GT(result.normal_consistency, 0.98);
}

// A box's normalised copy fixes the scale, so that the balls inside keep their ratio.
TEST(ShapeMetrics, ConcentricSpheresAreTheirGapApart) {
  const auto framed = [](float radius) {
    Mesh mesh = testing::sphere_mesh(radius, 64);
    // Tiny faces at the corners hold the bounding box and no area worth sampling.
    for (const float side : {-0.96f, 0.96f}) {
      const auto base = static_cast<std::uint32_t>(mesh.positions.size());
      for (int i = 0; i < 3; ++i) {
        Vec3 corner{side, side, side};
        corner[i] *= 1 - 1e-4f;
        mesh.positions.push_back(corner);
      }
      mesh.triangles.push_back({base, base + 1, base + 2});
    }
    return mesh;
  };
  const auto result = compare_surfaces(framed(0.7f), framed(0.5f), 8192, CounterRng(2));
  EXPECT_NEAR(result.chamfer_l1, 0.2, 2e-3);
  EXPECT_EQ(result.f_score_1, 0);
  EXPECT_EQ(result.f_score_2, 0);
  EXPECT_GT(result.normal_consistency, 0.99);
  const auto close = compare_surfaces(framed(0.7f), framed(0.65f), 8192, CounterRng(2));
  EXPECT_EQ(close.f_score_1, 0);     // a gap of 0.05 against 0.033
  EXPECT_GT(close.f_score_2, 0.95);  // and against 0.067
}

TEST(ShapeMetrics, MatchesABruteForceOfTheProtocol) {
  const Mesh candidate = testing::box_mesh({0.8f, 0.5f, 0.96f}, 4), target = testing::torus_mesh(0.7, 0.26);
  const auto result = compare_surfaces(candidate, target, 500, CounterRng(3));
  Mesh a = candidate, b = target;
  normalise(a);
  normalise(b);
  CounterRng rng(3);
  const SurfacePoints on_a = sample_surface(a, 500, rng), on_b = sample_surface(b, 500, rng);
  const double diagonal = length(b.bounds().extent());
  const auto directed = [&](const SurfacePoints& from, const SurfacePoints& to, double& mean, double& share,
                            double& cosine) {
    for (std::size_t i = 0; i < 500; ++i) {
      double best = INFINITY, aligned = 0;
      for (std::size_t j = 0; j < 500; ++j) {
        const double d = length(from.positions[i] - to.positions[j]);
        if (d < best) {
          best = d;
          aligned = std::abs(dot(from.normals[i], to.normals[j]));
        }
      }
      mean += best / 500;
      share += best < 0.02 * diagonal ? 1.0 / 500 : 0;
      cosine += aligned / 500;
    }
  };
  double d_ab = 0, d_ba = 0, precision = 0, recall = 0, n_ab = 0, n_ba = 0;
  directed(on_a, on_b, d_ab, precision, n_ab);
  directed(on_b, on_a, d_ba, recall, n_ba);
  EXPECT_NEAR(result.chamfer_l1, (d_ab + d_ba) / 2, 1e-6);
  EXPECT_NEAR(result.f_score_2, 2 * precision * recall / (precision + recall), 1e-6);
  EXPECT_NEAR(result.normal_consistency, (n_ab + n_ba) / 2, 1e-6);
}

TEST(ShapeMetrics, ScaleAndPlaceDoNotMatter) {
  const Mesh torus = testing::torus_mesh(0.6, 0.25);
  Mesh moved = torus;
  for (Vec3& p : moved.positions) p = p * 17.0f + Vec3{3, -8, 100};
  const auto a = compare_surfaces(torus, torus, 2000, CounterRng(4));
  const auto b = compare_surfaces(moved, torus, 2000, CounterRng(4));
  EXPECT_NEAR(a.chamfer_l1, b.chamfer_l1, 1e-4);
}

TEST(ShapeMetrics, EmptyMeshesAreErrors) {
  EXPECT_THROW(compare_surfaces(Mesh{}, testing::torus_mesh(0.6, 0.2), 100, CounterRng(1)), Error);
  EXPECT_THROW(
      compare_surfaces(testing::torus_mesh(0.6, 0.2), testing::torus_mesh(0.6, 0.2), 0, CounterRng(1)),
      Error);
}

TEST(SurfaceIouSlow, ConcentricSpheresGiveTheShareOfTheirShells) {
  constexpr int kResolution = 64;
  const double half_width = std::sqrt(3.0) / kResolution;
  const auto shell = [](double inner, double outer) { return outer * outer * outer - inner * inner * inner; };
  const MeshField small(testing::sphere_mesh(0.7f, 40));
  for (const double gap : {0.0, 0.02, 0.1}) {
    const MeshField large(testing::sphere_mesh(static_cast<float>(0.7 + gap), 40));
    const double one = shell(0.7 - half_width, 0.7 + half_width);
    const double other = shell(0.7 + gap - half_width, 0.7 + gap + half_width);
    const double both = gap < 2 * half_width ? shell(0.7 + gap - half_width, 0.7 + half_width) : 0;
    EXPECT_NEAR(surface_iou(small, large, kResolution), both / (one + other - both), 0.02) << gap;
  }
}

TEST(SurfaceIou, JudgesAnOpenMeshByWhatIsThere) {
  Mesh open = testing::box_mesh({0.8f, 0.8f, 0.8f}, 8);
  const MeshField whole(open);
  open.triangles.resize(open.triangles.size() / 2);
  EXPECT_NEAR(surface_iou(MeshField(open), whole), 0.5, 0.05);
}

TEST(ColourError, IsTheMeanOverChannelsIn255ths) {
  const testing::AnalyticSolid field([](Vec3) { return 1.0; }, {0.2f, 0.4f, 0.6f});
  SurfacePoints surface{.positions = {{0, 0, 0}, {1, 0, 0}},
                        .normals = {},
                        .colours = {{0.2f, 0.4f, 0.6f}, {0.5f, 0.3f, 0.6f}}};
  EXPECT_NEAR(mean_colour_error(field, surface), 255 * 0.4 / 6, 1e-4);
  EXPECT_EQ(mean_colour_error(field, {}), 0);
}

}  // namespace
}  // namespace omni::geometry
