#include "omni/generation/mesh_export.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/geometry/mesh_files.h"

namespace omni::generation {
namespace {

using geometry::Vec3;

// A ball, red above and blue below, and optionally a small one beside it.
class Balls : public tokenizers::DecodedShape {
 public:
  explicit Balls(float radius, bool with_floater = false) : radius_(radius), with_floater_(with_floater) {}
  void values(std::span<const Vec3> points, std::span<float> values) const override {
    for (std::size_t i = 0; i < points.size(); ++i) {
      values[i] = radius_ - length(points[i]);
      if (with_floater_) values[i] = std::max(values[i], 0.1f - length(points[i] - Vec3{0.8f, 0.8f, 0}));
    }
  }
  void colour(std::span<const Vec3> points, std::span<Vec3> colours) const override {
    for (std::size_t i = 0; i < points.size(); ++i)
      colours[i] = points[i].y > 0 ? Vec3{1, 0, 0} : Vec3{0, 0, 1};
  }
  bool has_colour() const override { return true; }

 private:
  float radius_;
  bool with_floater_;
};

TEST(MeshExport, GivesAClosedManifoldColouredBall) {
  const ExtractedMesh ball = extract_mesh(Balls(0.7f), {});
  EXPECT_TRUE(ball.health.closed());
  EXPECT_TRUE(ball.health.manifold());
  EXPECT_NEAR(ball.health.volume, 4.0 / 3 * M_PI * 0.343, 0.02);
  ASSERT_EQ(ball.mesh.colours.size(), ball.mesh.positions.size());
  for (std::size_t i = 0; i < ball.mesh.positions.size(); ++i) {
    EXPECT_EQ(ball.mesh.colours[i].x, ball.mesh.positions[i].y > 0 ? 1 : 0);
  }
  ASSERT_EQ(ball.mesh.normals.size(), ball.mesh.positions.size());
  EXPECT_GT(dot(ball.mesh.normals[0], normalised(ball.mesh.positions[0])), 0.9f);
}

TEST(MeshExport, RemovesFloatersAndFacesOnDemand) {
  MeshOptions keep{.keep_floaters = true};
  EXPECT_EQ(extract_mesh(Balls(0.7f, true), keep).health.components, 2);
  EXPECT_EQ(extract_mesh(Balls(0.7f, true), {}).health.components, 1);
  const ExtractedMesh small = extract_mesh(Balls(0.7f), {.faces = 500});
  EXPECT_LE(small.mesh.triangles.size(), 520u);
  EXPECT_TRUE(small.health.closed() && small.health.manifold());
}

TEST(MeshExport, SnapsToTheBoxAndScalesToMetres) {
  const Vec3 box{1, 0.5f, 0.25f};
  ExtractedMesh snapped = extract_mesh(Balls(0.7f), {.snap_to_box = true}, box);
  scale_to_metres(snapped, 3);
  const Vec3 extent = snapped.mesh.bounds().extent();
  EXPECT_NEAR(extent.x, 3, 1e-3);
  EXPECT_NEAR(extent.y, 1.5, 1e-3);
  EXPECT_NEAR(extent.z, 0.75, 1e-3);
  const geometry::MeshHealth health = geometry::inspect(snapped.mesh);
  EXPECT_NEAR(snapped.health.volume, health.volume, 1e-4 * health.volume);
  EXPECT_NEAR(snapped.health.area, health.area, 1e-4 * health.area);
  stand_on_ground(snapped);
  EXPECT_NEAR(snapped.mesh.bounds().low.y, 0, 1e-6);
  EXPECT_NEAR(snapped.mesh.bounds().high.y, 1.5, 1e-3);

  const Vec3 asked_nothing = extract_mesh(Balls(0.7f), {}, box).mesh.bounds().extent();
  const Vec3 named_nothing = extract_mesh(Balls(0.7f), {.snap_to_box = true}).mesh.bounds().extent();
  EXPECT_NEAR(asked_nothing.z, 1.4, 0.02);
  EXPECT_EQ(named_nothing, asked_nothing);
}

TEST(MeshExport, IsTheSameEveryTime) {
  const auto bytes = [] { return geometry::encode_glb(extract_mesh(Balls(0.6f, true), {}).mesh); };
  EXPECT_EQ(bytes(), bytes());
}

TEST(MeshExport, AnEmptyShapeGivesAnEmptyMesh) {
  const ExtractedMesh empty = extract_mesh(Balls(-1), {});
  EXPECT_TRUE(empty.empty());
  EXPECT_FALSE(empty.health.closed());
}

TEST(MeshExport, RejectsImpossibleOptions) {
  EXPECT_THROW((void)extract_mesh(Balls(0.5f), {.resolution = 4}), Error);
  EXPECT_THROW((void)extract_mesh(Balls(0.5f), {.resolution = 4000}), Error);
  EXPECT_THROW((void)extract_mesh(Balls(0.5f), {.faces = 3}), Error);
}

TEST(MeshExport, RendersAround) {
  const auto images = render_around(extract_mesh(Balls(0.7f), {}).mesh, 32);
  ASSERT_EQ(images.size(), 8u);
  for (const image::Image& image : images) {
    EXPECT_EQ(image.width, 32);
    EXPECT_NE(image.at(16, 10)[1], 255) << "the ball covers the middle";
  }
}

// The columns that show more than the white background, and the rows.
struct Extent {
  int left = 1 << 20, right = -1, top = 1 << 20, bottom = -1;
};
Extent extent_of(const image::Image& picture) {
  Extent extent;
  for (int y = 0; y < picture.height; ++y) {
    for (int x = 0; x < picture.width; ++x) {
      if (*picture.at(x, y) == 255 && picture.at(x, y)[1] == 255) continue;
      extent.left = std::min(extent.left, x);
      extent.right = std::max(extent.right, x);
      extent.top = std::min(extent.top, y);
      extent.bottom = std::max(extent.bottom, y);
    }
  }
  return extent;
}

TEST(MeshExport, ATurntableHoldsTheMeshStillAndWithinEveryFrame) {
  geometry::Mesh mesh = extract_mesh(Balls(0.7f), {.resolution = 24}).mesh;
  for (geometry::Vec3& position : mesh.positions)
    position = position * Vec3{1.3f, 0.4f, 0.4f} + Vec3{5, 1, 2};
  const Turntable turntable{.frames = 8, .size = 64, .azimuth_degrees = 0};
  const std::vector<image::Image> frames = render_turntable(mesh, turntable);
  ASSERT_EQ(frames.size(), 8u);
  int widest = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const Extent extent = extent_of(frames[i]);
    EXPECT_GE(extent.left, 1);
    EXPECT_LE(extent.right, 62);
    EXPECT_NEAR(extent.left + extent_of(frames[(8 - i) % 8]).right, 63, 1) << "the axis is in the middle";
    widest = std::max(widest, extent.right - extent.left);
    EXPECT_EQ(extent.top, extent_of(frames[(i + 4) % 8]).top) << "an ellipsoid is the same from behind";
  }
  EXPECT_GT(widest, 54) << "as large as fits";
  EXPECT_EQ(encode_turntable(mesh, turntable), image::encode_animated_png(frames, 500));
  EXPECT_THROW((void)render_turntable(mesh, {.frames = 360, .size = 2048}), Error);
}

TEST(MeshExport, LabelledViewsAreTheViewsAndAStrip) {
  const geometry::Mesh mesh = extract_mesh(Balls(0.7f), {.resolution = 24}).mesh;
  const auto plain = render_around(mesh, 96, 4), labelled = labelled_around(mesh, 96, 4);
  ASSERT_EQ(labelled.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(image::crop(labelled[i], 0, 0, 96, 96).pixels, plain[i].pixels);
    for (std::size_t other = 0; other < i; ++other)
      EXPECT_NE(image::crop(labelled[i], 0, 96, 96, 12).pixels,
                image::crop(labelled[other], 0, 96, 96, 12).pixels);
  }
}

}  // namespace
}  // namespace omni::generation
