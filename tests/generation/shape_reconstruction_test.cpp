#include "omni/generation/shape_reconstruction.h"

#include <gtest/gtest.h>

#include "omni/geometry/iso_surface.h"

namespace omni::generation {
namespace {

// A tokenizer whose field is the same simple solid for all codes, so that every figure is known: a ball of
// radius 0.5 from 2 codes on, nothing with 1; white.
class BallTokenizer : public tokenizers::ShapeTokenizer {
 public:
  class Ball : public tokenizers::DecodedShape {
   public:
    explicit Ball(float radius) : radius_(radius) {}
    void values(std::span<const geometry::Vec3> points, std::span<float> values) const override {
      for (std::size_t i = 0; i < points.size(); ++i) values[i] = radius_ - geometry::length(points[i]);
    }
    void colour(std::span<const geometry::Vec3>, std::span<geometry::Vec3> colours) const override {
      std::fill(colours.begin(), colours.end(), geometry::Vec3{1, 1, 1});
    }
    bool has_colour() const override { return true; }

   private:
    float radius_;
  };

  tokenizers::ShapeInput required_input() const override { return {.grid_resolution = 8}; }
  std::int64_t geometry_code_count() const override { return 2; }
  std::int64_t geometry_vocabulary() const override { return 4; }
  std::vector<std::int64_t> offered_lengths() const override { return {1, 2}; }
  std::int64_t colour_code_count() const override { return 1; }
  std::int64_t colour_vocabulary() const override { return 4; }
  std::int64_t geometry_grid_side() const override { return 0; }
  std::int64_t colour_grid_side() const override { return 0; }
  at::Tensor geometry_codebook() const override { return at::zeros({4, 1}); }
  at::Tensor colour_codebook() const override { return at::zeros({4, 1}); }
  std::vector<tokenizers::ShapeCodes> encode(
      std::span<const tokenizers::ShapeSample> samples) const override {
    return std::vector<tokenizers::ShapeCodes>(samples.size(), {.geometry = {3, 1}, .colour = {2}});
  }
  std::vector<std::unique_ptr<tokenizers::DecodedShape>> decode(
      std::span<const tokenizers::ShapeCodes> codes) const override {
    std::vector<std::unique_ptr<tokenizers::DecodedShape>> shapes;
    for (const auto& shape : codes)
      shapes.push_back(std::make_unique<Ball>(shape.geometry.size() == 2 ? 0.96f : -1.0f));
    return shapes;
  }
  tokenizers::StoredTokenizer stored() const override { return {}; }
};

TEST(ShapeReconstruction, EveryLengthIsMeasuredAgainstTheShape) {
  const BallTokenizer::Ball ball(0.96f);  // the shape: the same ball, grey
  geometry::Mesh mesh =
      geometry::extract_iso_surface([&](std::span<const geometry::Vec3> points,
                                        std::span<float> values) { ball.values(points, values); },
                                    {.resolution = 96})
          .mesh;
  CounterRng rng(1);
  geometry::SurfacePoints points = geometry::sample_surface(mesh, 500, rng);
  points.colours.assign(points.positions.size(), geometry::Vec3{0.6f, 0.6f, 0.6f});
  const tokenizers::ShapeSample sample;
  const OriginalShape original{mesh, ball, sample, points};

  const auto measured = reconstruct(BallTokenizer(), original, {.surfaces = true, .surface_points = rng});
  // A ball's is its radius; half a cell of the 64^3 grid in the mean distance counts four times.
  EXPECT_NEAR(measured.thickness, 0.96, 4 * 0.5 / 32);
  ASSERT_EQ(measured.lengths.size(), 2u);
  const Reconstruction &empty = measured.lengths[0], &whole = measured.lengths[1];
  EXPECT_EQ(empty.codes.geometry.size(), 1u);
  EXPECT_EQ(empty.volume_iou, 0);
  EXPECT_TRUE(empty.mesh.triangles.empty());
  EXPECT_FALSE(empty.surface.has_value());
  EXPECT_EQ(whole.codes.geometry, (std::vector<std::int32_t>{3, 1}));
  EXPECT_EQ(whole.volume_iou, 1);
  ASSERT_TRUE(whole.surface.has_value());
  EXPECT_GT(whole.surface->f_score_2, 0.97);
  EXPECT_GT(whole.surface->normal_consistency, 0.98);
  EXPECT_NEAR(whole.colour_error.value(), 0.4 * 255, 0.5);

  const auto volumes = reconstruct(BallTokenizer(), original);
  EXPECT_EQ(volumes.lengths[1].volume_iou, 1);
  EXPECT_FALSE(volumes.lengths[1].surface.has_value());
  EXPECT_TRUE(volumes.lengths[1].mesh.triangles.empty());
}

}  // namespace
}  // namespace omni::generation
