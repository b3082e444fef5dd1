// The key that asks for graphs, and what it excludes.
#include <gmock/gmock.h>

#include "omni/core/error.h"
#include "omni/training/stage_config.h"

namespace omni::training {
namespace {

std::string refusal(const std::vector<std::string>& settings) {
  std::vector<std::string> all = {"output=unused",
                                  "device=cuda",
                                  "precision=bf16",
                                  "tokens_per_step=8192",
                                  "tokens_per_micro_batch=4096",
                                  "cuda_graphs=true"};
  all.insert(all.end(), settings.begin(), settings.end());
  try {
    load_stage_config(std::string(OMNI_SOURCE_DIR) + "/configs/tiny/pretrain.yaml", "pretrain", all);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "";
}

TEST(GraphKeys, AreTakenForPassesOfOneShape) {
  EXPECT_EQ(refusal({}), "");
  EXPECT_EQ(refusal({"attention=kernel", "sharding=optimizer", "recompute=true", "fused_kernels=[all]"}), "");
  EXPECT_EQ(
      refusal({"cuda_graphs=false", "device=cpu", "tokens_per_micro_batch=4000", "tokens_per_step=8000"}),
      "");
}

TEST(GraphKeys, ForLengthsThatVaryAreRefused) {
  EXPECT_THAT(refusal({"tokens_per_micro_batch=4000", "tokens_per_step=8000"}),
              testing::AllOf(testing::HasSubstr("'cuda_graphs: true'"),
                             testing::HasSubstr("'tokens_per_micro_batch' (4000) vary in length"),
                             testing::HasSubstr("Set tokens_per_micro_batch: 4096 or 3968")));
  EXPECT_THAT(refusal({"tokens_per_micro_batch=100", "tokens_per_step=8000"}),
              testing::HasSubstr("Set tokens_per_micro_batch: 128, or cuda_graphs: false"));
}

TEST(GraphKeys, NameWhatTheyExclude) {
  EXPECT_THAT(refusal({"device=cpu"}), testing::HasSubstr("Set device: cuda"));
  EXPECT_THAT(refusal({"precision=fp32"}), testing::HasSubstr("Set precision: bf16"));
  EXPECT_THAT(refusal({"attention=library"}), testing::HasSubstr("Set attention: auto"));
  EXPECT_THAT(refusal({"sharding=full", "muon.enabled=false"}),
              testing::HasSubstr("Set sharding: optimizer"));
}

}  // namespace
}  // namespace omni::training
