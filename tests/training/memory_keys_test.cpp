// The keys that trade memory for work, and those that exclude each other.
#include <gmock/gmock.h>

#include "omni/core/error.h"
#include "omni/training/stage_config.h"

namespace omni::training {
namespace {

StageConfig loaded(const std::vector<std::string>& settings) {
  std::vector<std::string> all = {"output=unused", "muon.enabled=false"};
  all.insert(all.end(), settings.begin(), settings.end());
  return load_stage_config(std::string(OMNI_SOURCE_DIR) + "/configs/tiny/pretrain.yaml", "pretrain", all);
}

std::string refusal(const std::vector<std::string>& settings) {
  try {
    loaded(settings);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "";
}

TEST(MemoryKeys, SayWhatIsSharedAndMadeAgain) {
  EXPECT_EQ(sharding_of(loaded({}), 4), Sharding::optimizer);
  EXPECT_EQ(sharding_of(loaded({"sharding=none"}), 4), Sharding::none);
  const StageConfig full = loaded({"sharding=full"});
  EXPECT_EQ(sharding_of(full, 4), Sharding::full);
  EXPECT_EQ(sharding_of(full, 1), Sharding::none);
  EXPECT_EQ(recomputation_of(full, 4).every, 1);
  EXPECT_EQ(recomputation_of(full, 1).every, 0);
  const nn::Recomputation third = recomputation_of(loaded({"recompute=true", "recompute_every=3"}), 1);
  EXPECT_FALSE(third.takes_whole(1));
  EXPECT_TRUE(third.takes_whole(3));
  const nn::Recomputation parts = recomputation_of(loaded({"recompute_parts=[swiglu]"}), 1);
  EXPECT_EQ(parts.every, 0);
  EXPECT_TRUE(parts.swiglu);
  EXPECT_FALSE(parts.norms);
}

TEST(MemoryKeys, ThatExcludeEachOtherAreNamed) {
  EXPECT_THAT(refusal({"sharding=full", "muon.enabled=true"}),
              testing::AllOf(testing::HasSubstr("'sharding: full'"), testing::HasSubstr("muon"),
                             testing::HasSubstr("Set sharding: optimizer, or muon.enabled: false")));
  EXPECT_THAT(refusal({"sharding=full", "recompute=true", "recompute_every=2"}),
              testing::HasSubstr("'recompute_every'"));
  EXPECT_THAT(refusal({"recompute_every=2"}), testing::HasSubstr("needs 'recompute: true'"));
  EXPECT_THAT(refusal({"recompute=true", "recompute_parts=[norms]"}), testing::HasSubstr("nothing left"));
  EXPECT_THAT(refusal({"recompute_parts=[mlp]"}), testing::HasSubstr("There are swiglu and norms"));
  EXPECT_EQ(refusal({"recompute=true", "recompute_every=2", "recompute_parts=[swiglu, norms]"}), "");
}

}  // namespace
}  // namespace omni::training
