#include "omni/geometry/mesh.h"

#include <gtest/gtest.h>

#include <limits>
#include <numbers>

#include "coloured_shapes.h"
#include "omni/geometry/surface_points.h"

namespace omni::geometry {
namespace {

using testing::box_mesh;
using testing::six_colour_box;
using testing::sphere_mesh;
using testing::torus_mesh;

TEST(MeshMeasures, MatchClosedForms) {
  const Mesh box = box_mesh({1, 2, 3}, 4);
  EXPECT_NEAR(box.signed_volume(), 48, 1e-5);
  EXPECT_NEAR(box.surface_area(), 88, 1e-5);
  EXPECT_EQ(box.bounds().low, (Vec3{-1, -2, -3}));
  EXPECT_EQ(box.bounds().high, (Vec3{1, 2, 3}));
  const double pi = std::numbers::pi;
  EXPECT_NEAR(torus_mesh(2, 0.5, 256, 128).signed_volume(), 2 * pi * pi * 2 * 0.25, 0.01);
  EXPECT_NEAR(sphere_mesh(1).surface_area(), 4 * pi, 0.01);
}

TEST(MeshMeasures, VolumeKeepsItsDigitsFarFromTheOrigin) {
  Mesh box = box_mesh({1, 1, 1}, 1);
  for (Vec3& p : box.positions) p += Vec3{4096, -8192, 2048};
  EXPECT_NEAR(box.signed_volume(), 8, 1e-4);
}

TEST(MeshAppend, KeepsAttributesAligned) {
  Mesh target = box_mesh({1, 1, 1}, 1);  // no colours
  const std::size_t before = target.positions.size();
  append(target, six_colour_box());
  ASSERT_EQ(target.colours.size(), target.positions.size());
  EXPECT_EQ(target.colours[0], (Vec3{1, 1, 1}));
  EXPECT_EQ(target.colours[before], (Vec3{0, 1, 1}));
  EXPECT_EQ(target.triangles.size(), 24u);
  EXPECT_NEAR(target.signed_volume(), 9, 1e-5);
}

TEST(MeshAppend, DropsNormalsThatOnlyOneSideHas) {
  Mesh with = testing::painted_sphere();
  append(with, box_mesh({1, 1, 1}, 1));
  EXPECT_TRUE(with.normals.empty());
  EXPECT_EQ(with.colours.size(), with.positions.size());
}

TEST(MeshNormalise, CentresAndScales) {
  Mesh mesh = box_mesh({1, 2, 4}, 1);
  for (Vec3& p : mesh.positions) p += Vec3{10, 0, -5};
  const Normalisation done = normalise(mesh);
  EXPECT_EQ(done.centre, (Vec3{10, 0, -5}));
  EXPECT_FLOAT_EQ(done.scale, 1.92f / 8);
  EXPECT_NEAR(mesh.bounds().extent().z, 1.92, 1e-6);
  EXPECT_NEAR(mesh.bounds().centre().x, 0, 1e-6);
}

TEST(MeshNormalise, RefusesMeshesWithoutExtent) {
  Mesh point;
  point.positions = {{1, 2, 3}, {1, 2, 3}, {1, 2, 3}};
  point.triangles = {{0, 1, 2}};
  EXPECT_NE(testing::input_error([&] { normalise(point); }).find("extent"), std::string::npos);
  Mesh empty;
  EXPECT_NE(testing::input_error([&] { normalise(empty); }).find("no vertices"), std::string::npos);
  point.positions[0].x = std::numeric_limits<float>::infinity();
  EXPECT_NE(testing::input_error([&] { normalise(point); }).find("finite"), std::string::npos);
}

TEST(SurfacePoints, AreUniformByAreaAndCarryNormalAndColour) {
  Mesh mesh = six_colour_box();
  for (Vec3& p : mesh.positions) p = p * Vec3{1, 2, 4};  // faces of area 8, 4 and 2
  CounterRng rng(5);
  const SurfacePoints points = sample_surface(mesh, 28000, rng);
  ASSERT_EQ(points.positions.size(), 28000u);
  int by_axis[3] = {0, 0, 0};
  for (std::size_t i = 0; i < points.positions.size(); ++i) {
    std::size_t axis = 0;
    while (std::abs(points.normals[i][axis]) < 0.99f) ASSERT_LT(++axis, 3u);
    ++by_axis[axis];
    const float side = points.normals[i][axis];
    EXPECT_NEAR(points.positions[i][axis] * side, (Vec3{0.5f, 1, 2})[axis], 1e-5);
    const float expected_own = side > 0 ? 1.0f : 0.0f;  // +X is red, -X is cyan, and so on
    EXPECT_EQ(points.colours[i][axis], expected_own);
    EXPECT_EQ(points.colours[i][(axis + 1) % 3], 1 - expected_own);
  }
  EXPECT_NEAR(by_axis[0], 16000, 500);
  EXPECT_NEAR(by_axis[1], 8000, 400);
  EXPECT_NEAR(by_axis[2], 4000, 300);
}

TEST(SurfacePoints, AreTheSameForTheSameSeed) {
  const Mesh mesh = sphere_mesh(1, 8);
  CounterRng a(9, 1), b(9, 1), c(9, 2);
  EXPECT_EQ(sample_surface(mesh, 50, a).positions, sample_surface(mesh, 50, b).positions);
  CounterRng d(9, 1);
  EXPECT_NE(sample_surface(mesh, 50, c).positions, sample_surface(mesh, 50, d).positions);
}

TEST(SurfacePoints, RefuseAMeshWithoutArea) {
  Mesh line;
  line.positions = {{0, 0, 0}, {1, 0, 0}, {2, 0, 0}};
  line.triangles = {{0, 1, 2}};
  CounterRng rng(1);
  EXPECT_NE(testing::input_error([&] { sample_surface(line, 10, rng); }).find("no area"), std::string::npos);
}

}  // namespace
}  // namespace omni::geometry
