#include "training_tokens.h"

#include <gtest/gtest.h>

#include <limits>

#include "../data/token_fixtures.h"
#include "../generation/generation_fixtures.h"
#include "omni/core/error.h"
#include "temporary_directory.h"

namespace omni::evaluation {
namespace {

class TrainingTokensOf : public ::testing::Test {
 protected:
  TrainingTokensOf() {
    info_.tokens = bundle_.tokenizers.format();
    info_.views_per_object = 3;
    objects_ = data::testing::random_objects(info_, 40);
    data::write_token_shard(folder_ / "shard-00000.safetensors", info_, objects_);
  }
  TrainingTokens open() const { return {{folder_.path().string()}, bundle_.tokenizers}; }

  static generation::View view_of(const data::TokenObject::View& view) {
    return {geometry::azimuth_of_bin(view.azimuth), geometry::elevation_of_bin(view.elevation)};
  }

  test::TemporaryDirectory folder_;
  model::Bundle bundle_ = generation::testing::tiny_bundle(true, 160);
  data::TokenShardInfo info_;
  std::vector<data::TokenObject> objects_;
};

TEST_F(TrainingTokensOf, KnowsTheShapesOfTheTrainingSplitAlone) {
  const TrainingTokens training = open();
  for (const data::TokenObject& object : objects_) {
    EXPECT_EQ(training.has_geometry(object.geometry), object.split == data::Split::train) << object.id;
    std::vector<std::int32_t> changed = object.geometry;
    changed.back() = (changed.back() + 1) % static_cast<std::int32_t>(info_.tokens.shape.geometry_vocabulary);
    EXPECT_FALSE(training.has_geometry(changed));
  }
}

TEST_F(TrainingTokensOf, FindsTheNearestPictureAsTryingAllDoes) {
  const TrainingTokens training = open();
  const at::Tensor vectors = bundle_.tokenizers.image()->codebook().to(at::kFloat);
  CounterRng rng(7);
  for (int trial = 0; trial < 20; ++trial) {
    const data::TokenObject::View asked = objects_[static_cast<std::size_t>(trial)].views[1];
    const auto codes =
        data::testing::random_codes(info_.tokens.image.codes(), info_.tokens.image.vocabulary, rng);
    double least = std::numeric_limits<double>::max();
    const data::TokenObject* expected = nullptr;
    for (const data::TokenObject& object : objects_) {
      if (object.split != data::Split::train) continue;
      for (const data::TokenObject::View& view : object.views) {
        if (view.azimuth != asked.azimuth || view.elevation != asked.elevation) continue;
        double distance = 0;
        for (std::size_t i = 0; i < codes.size(); ++i)
          distance += (vectors[codes[i]] - vectors[view.codes[i]]).square().sum().item<double>();
        if (distance < least) {
          least = distance;
          expected = &object;
        }
      }
    }
    const auto found = training.nearest_by_picture(codes, view_of(asked));
    ASSERT_EQ(found.has_value(), expected != nullptr);
    if (found) {
      EXPECT_EQ(found->id, expected->id);
      EXPECT_EQ(found->codes.geometry, expected->geometry);
    }
  }
  EXPECT_FALSE(training.nearest_by_picture(objects_[0].views[0].codes,
                                           {.azimuth_degrees = 345, .elevation_degrees = 0}));
}

TEST_F(TrainingTokensOf, RefusesShardsOfOtherTokenizers) {
  info_.tokens.shape.tokenizer += 1;
  data::write_token_shard(folder_ / "shard-00000.safetensors", info_, objects_);
  EXPECT_THROW((void)open(), Error);
}

}  // namespace
}  // namespace omni::evaluation
