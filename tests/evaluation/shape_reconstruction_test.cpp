#include "omni/evaluation/shape_reconstruction.h"

#include <gtest/gtest.h>

#include "omni/geometry/iso_surface.h"

namespace omni::evaluation {
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

// The object: the same ball, grey.
data::ObjectRecord grey_ball() {
  data::ObjectRecord object;
  object.id = "ball";
  auto ball = std::make_unique<BallTokenizer::Ball>(0.96f);
  object.mesh = geometry::extract_iso_surface([&](std::span<const geometry::Vec3> points,
                                                  std::span<float> values) { ball->values(points, values); },
                                              {.resolution = 96})
                    .mesh;
  object.mesh.colours.assign(object.mesh.positions.size(), geometry::Vec3{0.6f, 0.6f, 0.6f});
  object.field = std::move(ball);
  return object;
}

TEST(ShapeReconstruction, EveryLengthIsMeasuredAgainstTheObject) {
  const auto all = reconstruct(BallTokenizer(), grey_ball(), 1);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].codes, 1);
  EXPECT_EQ(all[0].metrics.at("iou"), 0);
  EXPECT_TRUE(all[0].mesh.triangles.empty());
  EXPECT_EQ(all[0].metrics.count("cd_l1"), 0u);
  EXPECT_EQ(all[1].codes, 2);
  EXPECT_EQ(all[1].metrics.at("iou"), 1);
  EXPECT_GT(all[1].metrics.at("f2"), 0.97);
  EXPECT_GT(all[1].metrics.at("normals"), 0.98);
  EXPECT_NEAR(all[1].metrics.at("colour_error"), 0.4 * 255, 0.5);
}

}  // namespace
}  // namespace omni::evaluation
