#include "omni/training/stage.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "omni/core/error.h"
#include "omni/training/stage_config.h"

namespace omni::training {
namespace {

TEST(Stage, EachHasAShippedFileThatStartsAsItDoes) {
  const auto folder = std::filesystem::path(OMNI_SOURCE_DIR) / "configs" / "tiny";
  ASSERT_EQ(stages().size(), 3u);
  for (const Stage& stage : stages()) {
    const std::string name(stage.name);
    const StageConfig config = load_stage_config(folder / (name + ".yaml"), name, {});
    EXPECT_EQ(config.stage, name);
    EXPECT_EQ(config.tokenizers.empty(), !stage.starts_fresh) << name;
    EXPECT_EQ(config.start_bundle.empty(), stage.starts_fresh) << name;
    EXPECT_EQ(&find_stage(name), &stage);
  }
}

TEST(Stage, AnUnknownOneIsRefusedWithTheNamesOfAll) {
  try {
    find_stage("pretraining");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("pretrain, continue, finetune"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace omni::training
