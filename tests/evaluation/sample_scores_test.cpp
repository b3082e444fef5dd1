#include "sample_scores.h"

#include <gtest/gtest.h>

#include "omni/data/procedural_world.h"
#include "omni/geometry/iso_surface.h"

namespace omni::evaluation {
namespace {

using geometry::Vec3;

// The true shape, or its colours without a shape.
class Reconstruction final : public tokenizers::DecodedShape {
 public:
  Reconstruction(const geometry::SolidField& truth, bool empty) : truth_(truth), empty_(empty) {}
  void values(std::span<const Vec3> points, std::span<float> values) const override {
    std::vector<std::uint8_t> inside(points.size());
    truth_.occupancy(points, inside);
    for (std::size_t i = 0; i < points.size(); ++i) values[i] = inside[i] != 0 && !empty_ ? 1.0f : -1.0f;
  }
  void colour(std::span<const Vec3> points, std::span<Vec3> colours) const override {
    truth_.colour(points, colours);
  }
  bool has_colour() const override { return true; }

 private:
  const geometry::SolidField& truth_;
  bool empty_;
};

class SampleScores : public testing::Test {
 protected:
  SampleScores() {
    SweepConfig config;
    config.splits = {"train"};
    config.tasks = {{"text->shape", 1}};
    config.prompts_per_split = 1;
    config.iou_resolution = 32;
    config_ = config;
    set_ = std::make_unique<EvaluationSet>(config_);
    const std::vector<std::size_t> all = set_->all_objects();
    set_->prepare(all);
    reader_.add(object().coarse, object().record.class_name);
  }
  const EvaluationObject& object() const { return set_->at(0); }
  std::map<std::string, double> scores(bool empty) const {
    return score_shape(Reconstruction(*object().record.field, empty), object(), &reader_, nullptr, config_)
        .metrics;
  }

  SweepConfig config_;
  std::unique_ptr<EvaluationSet> set_;
  ShapeReader reader_;
};

TEST_F(SampleScores, TheTrueShapeIsRightInEveryFigure) {
  const auto found = scores(false);
  EXPECT_EQ(found.at("iou"), 1);
  EXPECT_EQ(found.at("class"), 1);
  EXPECT_EQ(found.at("colour"), 1);
  EXPECT_EQ(found.at("closed"), 1);
  EXPECT_EQ(found.at("empty"), 0);
  EXPECT_GT(found.at("f2"), 0.9);
}

// The class of the only known shape is the nearest to anything, and the field knows every colour.
TEST_F(SampleScores, AnEmptyShapeIsWrongInEveryFigure) {
  const auto found = scores(true);
  EXPECT_EQ(found.at("empty"), 1);
  for (const char* figure : {"iou", "class", "colour", "closed", "f1", "f2", "normals"})
    EXPECT_EQ(found.at(figure), 0) << figure;
}

}  // namespace
}  // namespace omni::evaluation
