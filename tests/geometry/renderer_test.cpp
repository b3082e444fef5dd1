#include "omni/geometry/renderer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <thread>
#include <utility>
#include <vector>

#include "coloured_shapes.h"
#include "omni/core/error.h"
#include "omni/core/random.h"

namespace omni::geometry {
namespace {

using testing::six_colour_box;
using testing::sphere_mesh;

TEST(Camera, StandsWhereItsAnglesSay) {
  const auto near = [](Vec3 a, Vec3 b) { return length(a - b) < 1e-5f; };
  EXPECT_TRUE(near(Camera{.azimuth_degrees = 0, .distance = 2}.position(), {0, 0, 2}));
  EXPECT_TRUE(near(Camera{.azimuth_degrees = 90, .distance = 2}.position(), {2, 0, 0}));
  EXPECT_TRUE(near(Camera{.azimuth_degrees = 180, .distance = 2}.position(), {0, 0, -2}));
  EXPECT_TRUE(near(Camera{.elevation_degrees = 90, .distance = 2}.position(), {0, 2, 0}));
}

TEST(Camera, BasisIsOrthonormalAndRightHandedForEveryBin) {
  for (int a = 0; a < kAzimuthBins; ++a)
    for (int e = 0; e < kElevationBins; ++e) {
      const Camera camera{.azimuth_degrees = azimuth_of_bin(a), .elevation_degrees = elevation_of_bin(e)};
      Vec3 right, up, forward;
      camera.basis(right, up, forward);
      EXPECT_NEAR(length(right), 1, 1e-5);
      EXPECT_NEAR(length(cross(right, up) + forward), 0, 1e-5);
      EXPECT_NEAR(length(camera.position() + forward * camera.distance), 0, 1e-5);
      EXPECT_GT(up.y, 0);
    }
  EXPECT_EQ(elevation_of_bin(0), -30);
  EXPECT_EQ(elevation_of_bin(6), 60);
  EXPECT_EQ(azimuth_of_bin(23), 345);
}

// The colour in the middle of the picture.
Vec3 centre_colour(const Renderer& renderer, float azimuth, float elevation) {
  const image::Image image = renderer.render({.azimuth_degrees = azimuth, .elevation_degrees = elevation},
                                             {.width = 33, .height = 33});
  const std::uint8_t* p = image.at(16, 16);
  return Vec3{float(p[0]), float(p[1]), float(p[2])} / 255.0f;
}

// Where a point appears, -1 to 1 from the left to the right and from the bottom to the top of a square
// picture.
std::pair<float, float> place_of(const Camera& camera, Vec3 point) {
  Vec3 right, up, forward;
  camera.basis(right, up, forward);
  const Vec3 from_eye = point - camera.position();
  const float half = dot(from_eye, forward) * std::tan(camera.vertical_fov_degrees * 3.14159265f / 360);
  return {dot(from_eye, right) / half, dot(from_eye, up) / half};
}

TEST(Camera, FitsPointsIntoThePicture) {
  CounterRng rng(4);
  for (int trial = 0; trial < 60; ++trial) {
    const float size = trial % 3 == 0 ? 0.01f : 2.0f;
    std::vector<Vec3> points;
    for (int i = 0; i < 40; ++i)
      points.push_back(Vec3{static_cast<float>(rng.uniform(3, 4)), static_cast<float>(rng.uniform(-1, 1)),
                            static_cast<float>(rng.uniform(0, 0.3))} *
                       size);
    const Camera camera = fitted({.azimuth_degrees = static_cast<float>(rng.uniform(0, 360)),
                                  .elevation_degrees = static_cast<float>(rng.uniform(-80, 80))},
                                 points, 1, 0.1f);
    float left = 1, right = -1, low = 1, high = -1;
    for (const Vec3& point : points) {
      const auto [x, y] = place_of(camera, point);
      left = std::min(left, x);
      right = std::max(right, x);
      low = std::min(low, y);
      high = std::max(high, y);
    }
    EXPECT_GE(std::min(left, low), -0.8f - 1e-3f);
    EXPECT_LE(std::max(right, high), 0.8f + 1e-3f);
    const bool fills_width = left < -0.8f + 1e-3f && right > 0.8f - 1e-3f;
    const bool fills_height = low < -0.8f + 1e-3f && high > 0.8f - 1e-3f;
    EXPECT_TRUE(fills_width || fills_height);
  }
}

TEST(Camera, StaysWhereThereIsNothingToFit) {
  const Camera camera{.azimuth_degrees = 30};
  EXPECT_EQ(fitted(camera, {}).distance, camera.distance);
  const Vec3 point{1, 2, 3};
  EXPECT_TRUE(std::isfinite(fitted(camera, {&point, 1}).distance));
}

TEST(Renderer, ShowsTheSideThatTheAzimuthConventionNames) {
  const Renderer renderer(six_colour_box());
  const auto near = [](Vec3 a, Vec3 b) { return length(a - b) < 0.02f; };
  EXPECT_TRUE(near(centre_colour(renderer, 0, 0), {0, 0, 1}));    // front, +Z
  EXPECT_TRUE(near(centre_colour(renderer, 90, 0), {1, 0, 0}));   // +X
  EXPECT_TRUE(near(centre_colour(renderer, 180, 0), {1, 1, 0}));  // -Z
  EXPECT_TRUE(near(centre_colour(renderer, 270, 0), {0, 1, 1}));  // -X
  EXPECT_TRUE(near(centre_colour(renderer, 0, 90), {0, 1, 0}));   // top
  EXPECT_TRUE(near(centre_colour(renderer, 0, -90), {1, 0, 1}));  // bottom
}

TEST(Renderer, PutsRightToTheRightAndUpAbove) {
  Mesh marks = testing::box_mesh({0.1f, 0.1f, 0.1f}, 1);
  for (Vec3& p : marks.positions) p += Vec3{0.8f, 0.4f, 0};
  const image::Image image = Renderer(marks).render({}, {.width = 64, .height = 64});
  double x_sum = 0, y_sum = 0, count = 0;
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x)
      if (image.at(x, y)[0] < 250) {
        x_sum += x + 0.5;
        y_sum += y + 0.5;
        ++count;
      }
  ASSERT_GT(count, 0);
  // Projection of (0.8, 0.4, 0) through a pinhole.
  const double pixels_per_unit = 32 / std::tan(19 * std::numbers::pi / 180) / Camera{}.distance;
  EXPECT_NEAR(x_sum / count, 32 + 0.8 * pixels_per_unit, 0.7);
  EXPECT_NEAR(y_sum / count, 32 - 0.4 * pixels_per_unit, 0.7);
}

TEST(Renderer, SphereSilhouetteHasTheRadiusOfThePinholeCamera) {
  const float radius = 0.7f, distance = Camera{}.distance;
  const Renderer renderer(sphere_mesh(radius, 64));
  for (const auto& [azimuth, elevation] : {std::pair{0.0f, 0.0f}, std::pair{37.0f, 45.0f}}) {
    const image::Image image = renderer.render({.azimuth_degrees = azimuth, .elevation_degrees = elevation},
                                               {.width = 200, .height = 200, .use_vertex_colours = false});
    // Sight lines touch the sphere at the angle asin(r / d), so the disc's radius in the image plane is its
    // tangent.
    const double disc = std::tan(std::asin(radius / distance)) / std::tan(19 * std::numbers::pi / 180) * 100;
    double covered = 0;
    for (int y = 0; y < 200; ++y)
      for (int x = 0; x < 200; ++x) covered += image.at(x, y)[0] < 255;
    EXPECT_NEAR(std::sqrt(covered / std::numbers::pi), disc, 0.75);
  }
}

TEST(Renderer, BlendsCoverageInLinearLight) {
  Mesh half = testing::box_mesh({1, 1, 0.001f}, 1);
  for (Vec3& p : half.positions) p.x += 1;  // covers the right half: the edge runs through the middle column
  half.colours.assign(half.positions.size(), {0, 0, 0});
  const image::Image image = Renderer(half).render({}, {.width = 33, .height = 33, .samples_per_axis = 4});
  EXPECT_EQ(image.at(2, 16)[0], 255);
  EXPECT_EQ(image.at(20, 16)[0], 0);
  EXPECT_NEAR(image.at(16, 16)[0], 188, 1);  // half of the light
}

TEST(Renderer, LightsBothSidesOfASurface) {
  Mesh box = six_colour_box();
  Mesh inside_out = box;
  for (auto& t : inside_out.triangles) std::swap(t[1], t[2]);
  const Camera camera{.azimuth_degrees = 30, .elevation_degrees = 30};
  EXPECT_EQ(Renderer(box).render(camera, {}).pixels, Renderer(inside_out).render(camera, {}).pixels);
}

TEST(Renderer, AnEmptyMeshShowsTheBackground) {
  const image::Image image = Renderer(Mesh{}).render({}, {.width = 8, .height = 4, .background = {1, 0, 0}});
  EXPECT_EQ(image.width, 8);
  EXPECT_EQ(image.height, 4);
  EXPECT_EQ(image.at(3, 2)[0], 255);
  EXPECT_EQ(image.at(3, 2)[1], 0);
}

TEST(Renderer, GivesTheSamePictureFromManyThreads) {
  const Renderer renderer(testing::painted_sphere());
  const Camera camera{.azimuth_degrees = 75, .elevation_degrees = 15};
  const image::Image expected = renderer.render(camera, {});
  std::vector<image::Image> images(8);
  std::vector<std::thread> threads;
  for (auto& image : images)
    threads.emplace_back([&] {
      image = renderer.render(camera, {});
      // Building others at the same time must not disturb it either.
      Renderer(six_colour_box()).render({}, {.width = 8, .height = 8});
    });
  for (auto& thread : threads) thread.join();
  for (const auto& image : images) EXPECT_EQ(image.pixels, expected.pixels);
}

TEST(Renderer, RefusesCamerasThatAreNotFinite) {
  const Renderer renderer(six_colour_box());
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  const Camera cameras[] = {{.azimuth_degrees = nan},      {.elevation_degrees = infinity},
                            {.distance = -infinity},       {.vertical_fov_degrees = nan},
                            {.vertical_fov_degrees = 180}, {.vertical_fov_degrees = 0}};
  for (const Camera& camera : cameras) {
    try {
      (void)renderer.render(camera, {.width = 4, .height = 4});
      ADD_FAILURE() << "a camera that is nowhere was rendered";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
    }
  }
}

TEST(Camera, NamesItsDirection) {
  EXPECT_EQ(view_label({.azimuth_degrees = 0, .elevation_degrees = 20}), "front el 20°");
  EXPECT_EQ(view_label({.azimuth_degrees = 360, .elevation_degrees = -5}), "front el -5°");
  EXPECT_EQ(view_label({.azimuth_degrees = -180, .elevation_degrees = 0}), "back el 0°");
  EXPECT_EQ(view_label({.azimuth_degrees = -29.7f, .elevation_degrees = 20}), "az 330° el 20°");
}

TEST(Camera, FittingDistanceIsThatOfATouchingPoint) {
  // Half of the field of view of 90 degrees: a point a unit aside is at its border a unit ahead of the eye.
  const Camera camera{
      .azimuth_degrees = 0, .elevation_degrees = 0, .vertical_fov_degrees = 90, .target = {1, 2, 3}};
  const std::vector<Vec3> aside = {{2, 2, 3}}, nearer = {{1, 4, 4}};
  EXPECT_NEAR(fitting_distance(camera, aside, 1, 0), 1, 1e-5);
  EXPECT_NEAR(fitting_distance(camera, aside, 2, 0), 0.5, 1e-5) << "a picture twice as wide";
  EXPECT_NEAR(fitting_distance(camera, nearer, 1, 0), 3, 1e-5) << "it is a unit nearer to the eye";
  EXPECT_NEAR(fitting_distance(camera, aside, 1, 0.25f), 2, 1e-5) << "half of the picture is free";
}

}  // namespace
}  // namespace omni::geometry
