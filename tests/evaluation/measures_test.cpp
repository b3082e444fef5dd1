#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>

#include "omni/core/random.h"
#include "omni/data/palette.h"
#include "omni/evaluation/bootstrap.h"
#include "omni/evaluation/caption_retrieval.h"
#include "omni/evaluation/colour_score.h"
#include "omni/evaluation/shape_reader.h"
#include "omni/geometry/iso_surface.h"
#include "omni/geometry/occupancy_bits.h"

namespace omni::evaluation {
namespace {

using geometry::Vec3;

class FunctionField : public geometry::SolidField {
 public:
  FunctionField(std::function<bool(Vec3)> inside, std::function<Vec3(Vec3)> colour)
      : inside_(std::move(inside)), colour_(std::move(colour)) {}
  void occupancy(std::span<const Vec3> points, std::span<std::uint8_t> inside) const override {
    for (std::size_t i = 0; i < points.size(); ++i) inside[i] = inside_(points[i]) ? 1 : 0;
  }
  void colour(std::span<const Vec3> points, std::span<Vec3> colours) const override {
    for (std::size_t i = 0; i < points.size(); ++i) colours[i] = colour_(points[i]);
  }

 private:
  std::function<bool(Vec3)> inside_;
  std::function<Vec3(Vec3)> colour_;
};

FunctionField box(Vec3 low, Vec3 high) {
  return {[=](Vec3 p) {
            return p.x > low.x && p.y > low.y && p.z > low.z && p.x < high.x && p.y < high.y && p.z < high.z;
          },
          [](Vec3) {
            return Vec3{1, 1, 1};
          }};
}

class ColourScore : public ::testing::Test {
 protected:
  const Vec3 red_ = data::palette()[0].srgb, blue_ = data::palette()[1].srgb,
             other_ = data::palette()[2].srgb;
  std::vector<data::ColouredPart> parts_ = {{"top", "", red_}, {"base", "", blue_}};

  // A ball whose upper half has one colour and whose lower half has another.
  FunctionField ball(Vec3 above, Vec3 below) const {
    return {[](Vec3 p) { return length(p) < 0.7f; }, [=](Vec3 p) { return p.y > 0 ? above : below; }};
  }
  PartSurface surface() const {
    const FunctionField truth = ball(red_, blue_);
    const auto values = [](std::span<const Vec3> points, std::span<float> out) {
      for (std::size_t i = 0; i < points.size(); ++i) out[i] = 0.7f - length(points[i]);
    };
    const geometry::Mesh mesh = geometry::extract_iso_surface(values, {}).mesh;
    return make_part_surface(parts_, mesh, truth, 1000, CounterRng(3));
  }
};

TEST_F(ColourScore, CountsPartsWithTheRightMajority) {
  const PartSurface parts = surface();
  ASSERT_EQ(parts.points.size(), 2u);
  for (const Vec3 point : parts.points[0]) EXPECT_GT(point.y, 0);
  for (const Vec3 point : parts.points[1]) EXPECT_LE(point.y, 0);
  EXPECT_EQ(colour_score(ball(red_, blue_), parts), 1.0);
  EXPECT_EQ(colour_score(ball(red_, other_), parts), 0.5);
  EXPECT_EQ(colour_score(ball(blue_, red_), parts), 0.0);
}

TEST_F(ColourScore, TakesTheNearestPaletteColourAndTheMajority) {
  const Vec3 nearly_red = red_ + Vec3{0.01f, -0.01f, 0.01f};
  EXPECT_EQ(colour_score(ball(nearly_red, blue_), surface()), 1.0);
  const FunctionField spotted([](Vec3) { return true; },
                              [this](Vec3 p) { return p.y <= 0     ? blue_
                                                      : p.y > 0.6f ? other_
                                                                   : red_; });
  EXPECT_EQ(colour_score(spotted, surface()), 1.0);
}

TEST_F(ColourScore, PassesOverPartsThatAreNotSeen) {
  parts_.push_back({"core", "", other_});
  EXPECT_EQ(colour_score(ball(red_, other_), surface()), 0.5);
  EXPECT_FALSE(colour_score(ball(red_, blue_), PartSurface{}).has_value());
}

TEST(Bootstrap, CoversTheTrueMeanAboutNinetyFiveTimesInAHundred) {
  int covered = 0;
  constexpr int trials = 300;
  for (int trial = 0; trial < trials; ++trial) {
    CounterRng rng(99, static_cast<std::uint64_t>(trial));
    std::vector<double> values(60);
    for (double& value : values) value = 2 + 0.5 * rng.normal();
    const MeanInterval interval = bootstrap_mean(values, 300, static_cast<std::uint64_t>(trial));
    EXPECT_LT(interval.low, interval.mean);
    covered += interval.low <= 2 && 2 <= interval.high ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(covered) / trials, 0.94, 0.04);
}

TEST(Bootstrap, HasTheWidthOfTheNormalInterval) {
  CounterRng rng(1);
  std::vector<double> values(400);
  for (double& value : values) value = rng.normal();
  const MeanInterval interval = bootstrap_mean(values, 2000, 4);
  EXPECT_NEAR(interval.high - interval.low, 2 * 1.96 / 20, 0.03);
}

TEST(Bootstrap, HandlesFewValues) {
  EXPECT_TRUE(std::isnan(bootstrap_mean({}, 100, 1).mean));
  const std::vector<double> one = {0.4};
  const MeanInterval single = bootstrap_mean(one, 100, 1);
  EXPECT_EQ(single.low, 0.4);
  EXPECT_EQ(single.high, 0.4);
  EXPECT_EQ(single.count, 1);
}

TEST(CaptionIndex, FindsTheCaptionWithTheRareWords) {
  const CaptionIndex index({"a red chair with four legs", "a blue chair with four legs",
                            "a red table with three legs", "a red lamp with a tall shade"});
  EXPECT_EQ(index.nearest("the blue chair, please"), 1u);
  EXPECT_EQ(index.nearest("Three legs, RED"), 2u);
  EXPECT_EQ(index.nearest("lamp"), 3u);
  EXPECT_EQ(index.nearest("a red chair with four legs"), 0u);
}

TEST(CaptionIndex, BreaksTiesByOrder) {
  const CaptionIndex index({"x y", "a b", "b a", "a b"});
  EXPECT_EQ(index.nearest("a b"), 1u);
  EXPECT_EQ(index.nearest("nothing shared"), 0u);
}

TEST(WordOverlap, IsTheHarmonicMean) {
  EXPECT_DOUBLE_EQ(word_overlap("a red chair", "A red, chair!"), 1);
  EXPECT_DOUBLE_EQ(word_overlap("red chair", "red table with legs"), 2.0 * 1 / 6);
  EXPECT_DOUBLE_EQ(word_overlap("", ""), 1);
  EXPECT_DOUBLE_EQ(word_overlap("x", ""), 0);
}

TEST(ShapeReader, NamesTheNearestShape) {
  ShapeReader reader;
  EXPECT_EQ(reader.class_of(geometry::OccupancyBits(box({-1, -1, -1}, {1, 1, 1}), 32)), "");
  const auto bits = [](float height) {
    return geometry::OccupancyBits(box({-0.5f, -0.5f, -0.5f}, {0.5f, height, 0.5f}),
                                   ShapeReader::kResolution);
  };
  reader.add(bits(-0.3f), "plate");
  reader.add(bits(0.5f), "cube");
  EXPECT_EQ(reader.class_of(bits(-0.2f)), "plate");
  EXPECT_EQ(reader.class_of(bits(0.4f)), "cube");
  const geometry::OccupancyBits plate = bits(-0.3f);
  EXPECT_EQ(reader.class_of(plate), "plate");
  EXPECT_EQ(reader.class_of(plate, &plate), "cube");
}

}  // namespace
}  // namespace omni::evaluation
