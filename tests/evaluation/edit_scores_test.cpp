#include "edit_scores.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "evaluation_set.h"
#include "omni/geometry/surface_points.h"
#include "sample_scores.h"
#include "training_references.h"

namespace omni::evaluation {
namespace {

using geometry::Vec3;

// A field, moved, empty or of another colour.
class Variant final : public tokenizers::DecodedShape {
 public:
  explicit Variant(const geometry::SolidField& field) : field_(field) {}
  Vec3 shift{};
  bool empty = false;
  std::optional<Vec3> painted;

  void values(std::span<const Vec3> points, std::span<float> values) const override {
    const std::vector<Vec3> moved = back(points);
    std::vector<std::uint8_t> inside(points.size());
    field_.occupancy(moved, inside);
    for (std::size_t i = 0; i < points.size(); ++i) values[i] = inside[i] != 0 && !empty ? 1.0f : -1.0f;
  }
  void colour(std::span<const Vec3> points, std::span<Vec3> colours) const override {
    field_.colour(back(points), colours);
    if (painted) std::fill(colours.begin(), colours.end(), *painted);
  }
  bool has_colour() const override { return true; }

 private:
  std::vector<Vec3> back(std::span<const Vec3> points) const {
    std::vector<Vec3> moved;
    for (const Vec3 point : points) moved.push_back(point - shift);
    return moved;
  }

  const geometry::SolidField& field_;
};

class EditScores : public testing::Test {
 protected:
  static SweepConfig config() {
    SweepConfig config;
    config.splits = {"new_instance", "unseen_colour"};
    config.tasks = {{"shape+text->shape", 10}};
    config.iou_resolution = 48;
    return config;
  }
  static void SetUpTestSuite() {
    config_ = new SweepConfig(config());
    set_ = new EvaluationSet(*config_);
    set_->prepare(set_->all_objects());
  }
  static void TearDownTestSuite() {
    delete set_;
    delete config_;
  }
  static const std::vector<std::size_t> objects() { return set_->objects_of(config_->tasks.front()); }
  static std::map<std::string, double> scores(const Variant& shape, const EvaluationObject& object) {
    ShapeReader reader;
    reader.add(object.coarse, object.record.class_name);
    return score_shape(shape, object, &reader, nullptr, *config_).metrics;
  }

  static SweepConfig* config_;
  static EvaluationSet* set_;
};
SweepConfig* EditScores::config_ = nullptr;
EvaluationSet* EditScores::set_ = nullptr;

TEST_F(EditScores, StartFromHeldOutObjectsAndChangeOneThing) {
  EXPECT_EQ(objects().size(), 20u);
  EXPECT_TRUE(set_->plain_objects().empty());
  std::set<std::string> names;
  int colours = 0;
  for (const std::size_t number : objects()) {
    const EvaluationObject& object = set_->at(number);
    names.insert(object.name);
    EXPECT_EQ(data::split_name(object.edit->before.split), object.split);
    int differences = 0;
    for (const auto& [name, value] : object.record.attributes)
      differences += object.edit->before.attributes.at(name) != value;
    for (std::size_t p = 0; p < object.record.parts.size(); ++p)
      differences += object.record.parts[p].colour_name != object.edit->before.parts[p].colour_name;
    EXPECT_EQ(differences, 1);
    colours += object.edit->part >= 0 ? 1 : 0;
    const std::string trained = choose_prompt(object, data::CaptionKind::complete, 3);
    const std::string reworded = choose_prompt(object, data::CaptionKind::reworded, 3);
    const auto says = [](const std::string& text) {
      return [&text](const data::Instruction& instruction) { return instruction.text == text; };
    };
    EXPECT_TRUE(std::ranges::any_of(object.edit->instructions.trained, says(trained)));
    EXPECT_TRUE(std::ranges::any_of(object.edit->instructions.held_out, says(reworded)));
  }
  EXPECT_EQ(names.size(), 20u);
  EXPECT_GT(colours, 2);
  EXPECT_LT(colours, 12) << "attributes and parts are as likely";
}

TEST_F(EditScores, TheTrueResultIsRight) {
  for (const std::size_t number : objects()) {
    const EvaluationObject& object = set_->at(number);
    const auto found = scores(Variant(*object.record.field), object);
    for (const char* figure : {"class_kept", "edited_right", "edit_right"})
      EXPECT_EQ(found.at(figure), 1) << object.name << ' ' << figure;
    if (!found.contains("untouched_kept")) continue;
    EXPECT_EQ(found.at("untouched_kept"), 1);
    EXPECT_LT(found.at("untouched_distance"), 0.01) << object.name;
  }
}

TEST_F(EditScores, TheSourceIsNoEdit) {
  for (const std::size_t number : objects()) {
    const EvaluationObject& object = set_->at(number);
    const auto found = scores(Variant(*object.edit->before.field), object);
    EXPECT_EQ(found.at("edited_right"), 0) << object.name;
    EXPECT_EQ(found.at("edit_right"), 0);
    if (object.edit->part >= 0) EXPECT_EQ(found.at("untouched_kept"), 1);
  }
}

// An edit that does nothing keeps the class, whatever the training shapes look like.
TEST_F(EditScores, TheReaderKnowsTheSources) {
  SweepConfig config = *config_;
  config.controls.reference_objects = 300;
  TrainingReferences references(config);
  const ShapeReader& reader = references.reader(*set_, objects());
  for (const std::size_t number : objects()) {
    const EvaluationObject& object = set_->at(number);
    const geometry::OccupancyBits source(*object.edit->before.field, ShapeReader::kResolution);
    EXPECT_EQ(reader.class_of(source), object.record.class_name) << object.name;
  }
}

// The nearest training picture's shape is looked up in the world that the picture was taken in.
TEST_F(EditScores, TrainingShapesComeFromAWorldOfTheirVariation) {
  TrainingReferences references(*config_);
  const auto resolution = static_cast<int>(config_->iou_resolution);
  const data::ProceduralSource varied({.seed = config_->source.seed, .count = 4, .variation = 1});
  int other_sizes = 0;
  for (std::int64_t i = 0; i < varied.size(); ++i) {
    const std::string name = varied.describe(i).id;
    const auto found = references.shape_of(name, 1), exact = references.shape_of(name, 0);
    ASSERT_TRUE(found && exact) << name;
    EXPECT_EQ(*found, geometry::OccupancyBits(*varied.field(i), resolution)) << name;
    other_sizes += *found != *exact;
  }
  EXPECT_GE(other_sizes, 2);
}

TEST_F(EditScores, NothingIsWrongInEveryFigure) {
  for (const std::size_t number : objects()) {
    Variant shape(*set_->at(number).record.field);
    shape.empty = true;
    const auto found = scores(shape, set_->at(number));
    EXPECT_FALSE(found.contains("untouched_distance"));
    for (const char* figure : {"class_kept", "edited_right", "untouched_kept", "edit_right"})
      if (found.contains(figure)) EXPECT_EQ(found.at(figure), 0) << figure;
  }
}

TEST_F(EditScores, ColoursAreTheMajorityOfTheEditedPart) {
  for (const std::size_t number : objects()) {
    const EvaluationObject& object = set_->at(number);
    if (object.edit->part < 0) continue;
    const auto part = static_cast<std::size_t>(object.edit->part);
    Variant shape(*object.edit->before.field);
    shape.painted = object.record.parts[part].colour;
    EXPECT_EQ(scores(shape, object).at("edited_right"), 1);
    shape.painted = object.edit->before.parts[part].colour;
    EXPECT_EQ(scores(shape, object).at("edited_right"), 0);
  }
}

double mean_nearest(const std::vector<Vec3>& from, const std::vector<Vec3>& to) {
  double sum = 0;
  for (const Vec3 point : from) {
    float best = std::numeric_limits<float>::infinity();
    for (const Vec3 other : to) best = std::min(best, length(point - other));
    sum += best;
  }
  return sum / static_cast<double>(from.size());
}

// Of repainted objects, all of whose surface is to stay: by the distances between many points of both.
TEST_F(EditScores, MovedPartsAreAsFarAwayAsTheirPoints) {
  int compared = 0;
  for (const std::size_t number : objects()) {
    const EvaluationObject& object = set_->at(number);
    if (object.edit->part < 0 || compared == 3) continue;
    const Vec3 sides = object.surface.bounds().extent();
    if (std::min(sides.x, sides.z) > 1.5f) continue;  // no room in the frame
    ++compared;
    Variant shape(*object.record.field);
    shape.shift[sides.x < sides.z ? 0 : 2] = 0.1f + 0.05f * static_cast<float>(compared);
    const auto found = scores(shape, object);
    geometry::Mesh moved = object.surface;
    for (Vec3& position : moved.positions) position = position + shape.shift;
    CounterRng first(5), second(6);
    const auto truth = geometry::sample_surface(object.surface, 30000, first).positions;
    const auto own = geometry::sample_surface(moved, 30000, second).positions;
    const auto some = [](const std::vector<Vec3>& points) {
      return std::vector<Vec3>(points.begin(), points.begin() + 1000);
    };
    const double expected =
        (mean_nearest(some(truth), own) + mean_nearest(some(own), truth)) / 2 / length(sides);
    EXPECT_NEAR(found.at("untouched_distance"), expected, 0.004) << object.name;
    EXPECT_EQ(found.at("untouched_kept"), found.at("untouched_distance") <= 0.03 ? 1 : 0);
  }
  EXPECT_EQ(compared, 3);
}

}  // namespace
}  // namespace omni::evaluation
