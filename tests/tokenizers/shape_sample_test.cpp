#include "omni/tokenizers/shape_sample.h"

#include <gtest/gtest.h>

#include <cmath>

#include "analytic_shapes.h"
#include "omni/geometry/mesh_field.h"

namespace omni::tokenizers {
namespace {

using geometry::Vec3;

int on_sides(Vec3 point, Vec3 half) {
  const Vec3 p = geometry::abs(point);
  int count = 0;
  for (std::size_t k = 0; k < 3; ++k) count += std::abs(p[k] - half[k]) < 1e-5f;
  return count;
}

TEST(ShapeSample, SharpEdgesGetTheirShareOfTheSurfacePointsInAnyPartOfThem) {
  const Vec3 half{0.8f, 0.5f, 0.3f};
  const geometry::Mesh box = geometry::testing::box_mesh(half, 4);
  const geometry::MeshField field(box);
  for (const MeshSurface surface : {MeshSurface::visible, MeshSurface::partly_buried}) {
    const ShapeInput input{.surface_points = 800, .sharp_edge_share = 0.5};
    const auto points = make_shape_sample(box, field, input, CounterRng(5), surface).surface;
    ASSERT_EQ(points.positions.size(), 800u);
    int on_edges = 0, early = 0;
    for (std::size_t i = 0; i < 800; ++i) {
      const int sides = on_sides(points.positions[i], half);
      ASSERT_GE(sides, 1);
      on_edges += sides >= 2;
      early += sides >= 2 && i < 200;
    }
    EXPECT_EQ(on_edges, 400);
    EXPECT_NEAR(early, 100, 30);
  }
}

TEST(ShapeSample, TheOrderOfItsPointsStaysWhatItIs) {
  const Vec3 half{0.8f, 0.5f, 0.3f};
  const geometry::Mesh box = geometry::testing::box_mesh(half, 4);
  const geometry::MeshField field(box);
  const ShapeInput input{.surface_points = 40, .sharp_edge_share = 0.5};
  const auto points = make_shape_sample(box, field, input, CounterRng(5)).surface;
  std::string kinds;  // of each point: on an edge or on a face
  for (const Vec3 point : points.positions) kinds += on_sides(point, half) >= 2 ? 'e' : 'f';
  EXPECT_EQ(kinds, "eeeffeeeffefeefffeffefffefeffefffeeeefee");
}

TEST(ShapeSample, SmoothShapesGetAllTheirPointsOnTheirFaces) {
  const geometry::Mesh ball = geometry::testing::sphere_mesh(0.9f, 64);
  const geometry::MeshField field(ball);
  const auto smooth =
      make_shape_sample(ball, field, {.surface_points = 300, .sharp_edge_share = 0.5}, CounterRng(5));
  EXPECT_EQ(smooth.surface.positions.size(), 300u);
}

}  // namespace
}  // namespace omni::tokenizers
