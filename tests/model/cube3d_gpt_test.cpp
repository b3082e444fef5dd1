#include "omni/model/cube3d_gpt.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni::model {
namespace {

std::vector<std::filesystem::path> fixtures() {
  return {std::filesystem::path(OMNI_TEST_FIXTURES) / "tiny/cube3d/gpt",
          std::filesystem::path(OMNI_SHARED_DIR) / "fixtures/cube3d/gpt"};
}

class Cube3dGptTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    folder = fixtures()[GetParam()];
    if (!std::filesystem::exists(folder)) GTEST_SKIP() << "the larger reference case is not on this machine";
    gpt = std::make_unique<Cube3dGpt>(Cube3dGptConfig::load(folder / "config.json"),
                                      folder / "shape_gpt.safetensors");
    expected = std::make_unique<SafetensorsFile>(folder / "expected.safetensors");
  }
  at::Tensor tensor(const std::string& name) const { return nn::to_tensor(expected->at(name)); }
  std::filesystem::path folder;
  std::unique_ptr<Cube3dGpt> gpt;
  std::unique_ptr<SafetensorsFile> expected;
};
INSTANTIATE_TEST_SUITE_P(Cases, Cube3dGptTest, testing::Values(0, 1));

TEST_P(Cube3dGptTest, TeacherForcedLogitsMatchTheReference) {
  const at::Tensor logits =
      gpt->logits(gpt->condition(tensor("text_embed"), tensor("bbox")), tensor("shape_ids"));
  const at::Tensor reference = tensor("teacher_forced_logits");
  ASSERT_EQ(logits.sizes(), reference.sizes());
  EXPECT_LT((logits - reference).abs().max().item<double>(), 1e-4);
}

TEST_P(Cube3dGptTest, GreedyCodesMatchTheReferencesFullContext) {
  const at::Tensor box = tensor("bbox"), reference = tensor("greedy_ids_full_context");
  const auto codes = gpt->sample(gpt->condition(tensor("text_embed"), box),
                                 gpt->condition(tensor("uncond_text_embed"), at::zeros_like(box)),
                                 {.steps = reference.size(1), .guidance = 3});
  for (std::int64_t b = 0; b < reference.size(0); ++b)
    for (std::int64_t i = 0; i < reference.size(1); ++i)
      EXPECT_EQ(codes[b][i], reference[b][i].item<std::int64_t>()) << b << " " << i;
}

TEST_P(Cube3dGptTest, CodebookOverwritesTheCodeRows) {
  const at::Tensor condition = gpt->condition(tensor("text_embed"), tensor("bbox"));
  const at::Tensor before = gpt->logits(condition, tensor("shape_ids"));
  gpt->set_codebook(at::randn({gpt->config().shape_codes, gpt->config().code_dimension}));
  const at::Tensor after = gpt->logits(condition, tensor("shape_ids"));
  EXPECT_TRUE(before.select(1, 0).equal(after.select(1, 0)));  // bos is no code
  EXPECT_FALSE(before.select(1, 1).equal(after.select(1, 1)));
}

TEST(Cube3dGpt, BrokenFilesAreNamed) {
  const std::filesystem::path tiny = fixtures()[0];
  const test::TemporaryDirectory copy;
  const auto bytes = read_file_bytes(tiny / "shape_gpt.safetensors");
  const Cube3dGptConfig config = Cube3dGptConfig::load(tiny / "config.json");
  write_file_atomically(copy / "short.safetensors", std::span(bytes).first(bytes.size() / 2));
  EXPECT_THROW(Cube3dGpt(config, copy / "short.safetensors"), Error);
  EXPECT_THROW(Cube3dGpt(config, copy / "missing.safetensors"), Error);
  Cube3dGptConfig other = config;
  other.shape_codes += 1;
  EXPECT_THROW(Cube3dGpt(other, tiny / "shape_gpt.safetensors"), Error);
  other = config;
  other.dual_layers += 1;
  EXPECT_THROW(Cube3dGpt(other, tiny / "shape_gpt.safetensors"), Error);
  write_file_atomically(copy / "config.json", std::string_view("{\"n_layer\": \"many\"}"));
  EXPECT_THROW(Cube3dGptConfig::load(copy / "config.json"), Error);
}

}  // namespace
}  // namespace omni::model
