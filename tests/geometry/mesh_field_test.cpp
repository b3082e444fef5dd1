#include "omni/geometry/mesh_field.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "analytic_shapes.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/geometry/iso_surface.h"
#include "omni/geometry/mesh_health.h"

namespace omni::geometry {
namespace {

struct Shape {
  const char* name;
  Mesh mesh;
  std::function<double(Vec3)> distance;  // negative inside
};

std::vector<Shape> shapes() {
  return {{"sphere", testing::sphere_mesh(0.8f, 64), [](Vec3 p) { return testing::sphere_distance(p, 0.8); }},
          {"box", testing::box_mesh({0.9f, 0.3f, 0.6f}, 24),
           [](Vec3 p) {
             return testing::box_distance(p, {0.9f, 0.3f, 0.6f});
           }},
          {"torus", testing::torus_mesh(0.65, 0.25, 192, 96),
           [](Vec3 p) { return testing::torus_distance(p, 0.65, 0.25); }}};
}

// Share of uniform points of the box outside a 1e-3 band on which the field is right.
double share_right(const MeshField& field, const std::function<double(Vec3)>& distance, int count = 20000) {
  CounterRng rng(3);
  std::vector<Vec3> points;
  while (static_cast<int>(points.size()) < count) {
    const Vec3 p{float(rng.uniform(-1.05, 1.05)), float(rng.uniform(-1.05, 1.05)),
                 float(rng.uniform(-1.05, 1.05))};
    if (std::abs(distance(p)) > 1e-3) points.push_back(p);
  }
  std::vector<std::uint8_t> inside(points.size());
  field.occupancy(points, inside);
  int right = 0;
  for (std::size_t i = 0; i < points.size(); ++i) right += (inside[i] != 0) == (distance(points[i]) < 0);
  return double(right) / count;
}

TEST(MeshField, ClosedShapesAreRightOutsideANarrowBand) {
  for (const Shape& shape : shapes()) {
    const MeshField field(shape.mesh);
    EXPECT_EQ(field.chosen_mode(), LabelMode::winding) << shape.name;
    EXPECT_FALSE(field.thickens_sheets()) << shape.name;
    EXPECT_GE(share_right(field, shape.distance), 0.999) << shape.name;
  }
}

TEST(MeshField, ShapesThatLackFacesAreMostlyRight) {
  for (const Shape& shape : shapes()) {
    CounterRng rng(5);
    Mesh open = shape.mesh;
    std::erase_if(open.triangles, [&](const auto&) { return rng.chance(0.05); });
    const MeshField field(open);
    EXPECT_EQ(field.chosen_mode(), LabelMode::winding) << shape.name;
    EXPECT_GE(share_right(field, shape.distance), 0.99) << shape.name;
  }
}

TEST(MeshField, DuplicatedAndFlippedFacesAreFlooded) {
  for (const Shape& shape : shapes()) {
    Mesh doubled = shape.mesh;
    for (const auto& t : shape.mesh.triangles) doubled.triangles.push_back({t[0], t[2], t[1]});
    const MeshField field(doubled);
    EXPECT_EQ(field.chosen_mode(), LabelMode::flood) << shape.name;
    EXPECT_GE(share_right(field, shape.distance), 0.99) << shape.name;
  }
}

TEST(MeshField, ShapesWithSomeFacesFlippedAreFlooded) {
  for (const Shape& shape : shapes()) {
    CounterRng rng(9);
    Mesh flipped = shape.mesh;
    for (auto& t : flipped.triangles) {
      if (rng.chance(0.1)) std::swap(t[1], t[2]);
    }
    const MeshField field(flipped);
    EXPECT_EQ(field.chosen_mode(), LabelMode::flood) << shape.name;
    EXPECT_GE(share_right(field, shape.distance), 0.99) << shape.name;
  }
}

// What real assets are made of: parts that run through each other.
TEST(MeshField, OverlappingPartsAreOneSolid) {
  Mesh parts = testing::sphere_mesh(0.5f, 40);
  Mesh beam = testing::box_mesh({0.9f, 0.15f, 0.2f}, 16);
  Mesh ring = testing::torus_mesh(0.6, 0.12, 128, 48);
  append(parts, beam);
  append(parts, ring);
  EXPECT_GT(count_self_intersections(parts), 0);
  const MeshField field(parts);
  EXPECT_EQ(field.chosen_mode(), LabelMode::winding);
  EXPECT_GE(share_right(field,
                        [](Vec3 p) {
                          return std::min({testing::sphere_distance(p, 0.5),
                                           testing::box_distance(p, {0.9f, 0.15f, 0.2f}),
                                           testing::torus_distance(p, 0.6, 0.12)});
                        }),
            0.999);
}

TEST(MeshField, ManySeparatePartsAreEachASolid) {
  Mesh parts;
  std::vector<Vec3> centres;
  CounterRng rng(6);
  for (int i = 0; i < 60; ++i) {
    centres.push_back(
        {float(rng.uniform(-0.9, 0.9)), float(rng.uniform(-0.9, 0.9)), float(rng.uniform(-0.9, 0.9))});
    Mesh ball = testing::sphere_mesh(0.12f, 12);
    for (Vec3& p : ball.positions) p += centres.back();
    append(parts, ball);
  }
  EXPECT_GE(share_right(MeshField(parts),
                        [&](Vec3 p) {
                          double nearest = 10;
                          for (const Vec3 c : centres)
                            nearest = std::min(nearest, testing::sphere_distance(p - c, 0.12));
                          return nearest;
                        }),
            0.998);  // balls of facets are a little smaller than round ones
}

// A solid with a sheet standing out of it, as a leaf on a pot: the solid stays as it is, the sheet thickens.
TEST(MeshField, ASheetOnASolidThickensAlone) {
  Mesh mesh = testing::box_mesh({0.4f, 0.4f, 0.4f}, 8);
  append(mesh, testing::grid_mesh(8, 8, false, false, [](double u, double v) {
           return Vec3{float(0.4 + 0.5 * u), 0, float(0.3 - 0.6 * v)};
         }));
  constexpr float kEpsilon = 0.05f;
  const MeshField field(mesh, {.epsilon = kEpsilon});
  EXPECT_TRUE(field.thickens_sheets());
  const std::vector<Vec3> points = {{0, 0, 0},     {0.6f, 0.04f, 0},     {0.6f, -0.04f, 0}, {0.6f, 0.06f, 0},
                                    {0, 0.41f, 0}, {-0.41f, 0.1f, 0.1f}, {0, 0.39f, 0}};
  std::vector<std::uint8_t> inside(points.size());
  field.occupancy(points, inside);
  EXPECT_EQ(inside, (std::vector<std::uint8_t>{1, 1, 1, 0, 0, 0, 1}));
}

TEST(MeshField, AMeshThatIsInsideOutIsTurned) {
  for (const Shape& shape : shapes()) {
    Mesh turned = shape.mesh;
    for (auto& t : turned.triangles) std::swap(t[1], t[2]);
    EXPECT_GE(share_right(MeshField(turned), shape.distance), 0.999) << shape.name;
  }
}

TEST(MeshField, ASheetBecomesTwiceEpsilonThick) {
  const auto sheet = [](double wave) {
    return testing::grid_mesh(32, 32, false, false, [wave](double u, double v) {
      return Vec3{float(1.8 * u - 0.9), float(wave * std::sin(6 * u) * std::cos(5 * v)),
                  float(0.9 - 1.8 * v)};
    });
  };
  for (const double wave : {0.0, 0.1}) {
    for (const LabelMode mode : {LabelMode::automatic, LabelMode::winding, LabelMode::flood}) {
      const float epsilon = 0.06f;
      const MeshField field(sheet(wave), {.mode = mode, .epsilon = epsilon});
      EXPECT_TRUE(field.thickens_sheets());
      CounterRng rng(1);
      double thickness = 0;
      constexpr int kColumns = 300, kSteps = 400;
      for (int i = 0; i < kColumns; ++i) {
        std::vector<Vec3> column;
        const auto x = float(rng.uniform(-0.7, 0.7)), z = float(rng.uniform(-0.7, 0.7));
        for (int s = 0; s < kSteps; ++s) column.push_back({x, -0.4f + 0.8f * (float(s) + 0.5f) / kSteps, z});
        std::vector<std::uint8_t> inside(column.size());
        field.occupancy(column, inside);
        for (const auto in : inside) thickness += in * 0.8 / kSteps;
      }
      // Along y a sloped sheet is thicker than across it.
      const double slope = wave == 0 ? 1.0 : 1.025;
      EXPECT_NEAR(thickness / kColumns / (2 * epsilon * slope), 1.0, 0.1) << "wave " << wave;
    }
  }
}

// Sharp edges and tips beside a hole: no stray pieces around them.
TEST(MeshField, AnOpenSpikeHasOneSurface) {
  const Mesh cone = testing::grid_mesh(24, 24, true, false, [](double u, double v) {
    const double angle = 2 * std::numbers::pi * u, radius = 0.3 * (1 - v);
    return Vec3{float(radius * std::sin(angle)), float(1.8 * v - 0.9), float(0.2 * radius * std::cos(angle))};
  });
  const MeshField field(cone);
  EXPECT_TRUE(field.thickens_sheets());
  const auto result = extract_iso_surface(
      [&](std::span<const Vec3> points, std::span<float> values) { field.signed_distance(points, values); },
      {.resolution = 48, .dilation_cells = 0});
  EXPECT_EQ(inspect(result.mesh).components, 1);
}

TEST(MeshField, WindingNumbersMatchTheExactSum) {
  CounterRng rng(2);
  Mesh soup;
  for (std::uint32_t i = 0; i < 1500; ++i) {
    const Vec3 c{float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1))};
    for (int k = 0; k < 3; ++k) {
      soup.positions.push_back(c +
                               Vec3{float(rng.normal()), float(rng.normal()), float(rng.normal())} * 0.05f);
    }
    soup.triangles.push_back({3 * i, 3 * i + 1, 3 * i + 2});
  }
  const MeshField field(soup);
  std::vector<Vec3> points;
  for (int i = 0; i < 500; ++i)
    points.push_back({float(rng.normal()), float(rng.normal()), float(rng.normal())});
  std::vector<float> winding(points.size());
  field.winding_number(points, winding);
  for (std::size_t i = 0; i < points.size(); ++i) {
    double exact = 0;
    for (const auto& t : soup.triangles) {
      double v[3][3], l[3];
      for (int k = 0; k < 3; ++k) {
        for (std::size_t axis = 0; axis < 3; ++axis)
          v[k][axis] = double(soup.positions[t[k]][axis]) - points[i][axis];
        l[k] = std::sqrt(v[k][0] * v[k][0] + v[k][1] * v[k][1] + v[k][2] * v[k][2]);
      }
      const auto d = [&](int a, int b) { return v[a][0] * v[b][0] + v[a][1] * v[b][1] + v[a][2] * v[b][2]; };
      const double volume = v[0][0] * (v[1][1] * v[2][2] - v[1][2] * v[2][1]) +
                            v[0][1] * (v[1][2] * v[2][0] - v[1][0] * v[2][2]) +
                            v[0][2] * (v[1][0] * v[2][1] - v[1][1] * v[2][0]);
      exact += std::atan2(volume, l[0] * l[1] * l[2] + d(0, 1) * l[2] + d(1, 2) * l[0] + d(2, 0) * l[1]);
    }
    EXPECT_NEAR(winding[i], exact / (2 * std::numbers::pi), 0.02);
  }
}

TEST(MeshField, DistancesMatchTheClosedForm) {
  const MeshField field(testing::box_mesh({0.9f, 0.3f, 0.6f}, 3));
  CounterRng rng(4);
  std::vector<Vec3> points;
  for (int i = 0; i < 5000; ++i) {
    points.push_back(
        {float(rng.uniform(-1.5, 1.5)), float(rng.uniform(-1.5, 1.5)), float(rng.uniform(-1.5, 1.5))});
  }
  std::vector<float> unsigned_distance(points.size()), signed_distance(points.size());
  std::vector<ClosestPoint> closest(points.size());
  field.distance(points, unsigned_distance);
  field.signed_distance(points, signed_distance);
  field.closest(points, closest);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double truth = testing::box_distance(points[i], {0.9f, 0.3f, 0.6f});
    EXPECT_NEAR(unsigned_distance[i], std::abs(truth), 1e-5);
    EXPECT_NEAR(signed_distance[i], -truth, 1e-5);
    EXPECT_NEAR(length(closest[i].position - points[i]), std::abs(truth), 1e-5);
  }
}

TEST(MeshField, ColourIsThatOfTheNearestSurface) {
  Mesh mesh = testing::box_mesh({0.5f, 0.5f, 0.5f}, 2);
  for (const Vec3& p : mesh.positions)
    mesh.colours.push_back({p.x > 0 ? 1.0f : 0.0f, 0.25f, p.x > 0 ? 0.0f : 1.0f});
  const std::vector<Vec3> points{{0.9f, 0.1f, 0.2f}, {-0.9f, 0.1f, 0.2f}};
  std::vector<Vec3> colours(2);
  MeshField(mesh).colour(points, colours);
  EXPECT_EQ(colours[0], (Vec3{1, 0.25f, 0}));
  EXPECT_EQ(colours[1], (Vec3{0, 0.25f, 1}));
  mesh.colours.clear();
  MeshField(mesh).colour(points, colours);
  EXPECT_EQ(colours[0], (Vec3{0.7f, 0.7f, 0.7f}));
}

TEST(MeshField, BrokenMeshesAreInputErrors) {
  EXPECT_THROW(MeshField(Mesh{}), Error);
  Mesh flat;
  flat.positions = {{0, 0, 0}, {1, 0, 0}, {2, 0, 0}};
  flat.triangles = {{0, 1, 2}};
  EXPECT_THROW(MeshField{flat}, Error);
  Mesh nan = testing::box_mesh({1, 1, 1}, 1);
  nan.positions[0].x = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(MeshField{nan}, Error);
  Mesh broken = testing::box_mesh({1, 1, 1}, 1);
  broken.triangles[0][0] = 999;
  EXPECT_THROW(MeshField{broken}, Error);
  EXPECT_THROW(MeshField(testing::box_mesh({1, 1, 1}, 1), {.epsilon = 0}), Error);
}

}  // namespace
}  // namespace omni::geometry
