#include "omni/model/cube3d_gpt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/model/verify_public.h"
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
                                      WeightSource(folder / "shape_gpt.safetensors"));
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

// Greedy codes of both of the reference's ways are in the file, and differ from each other.
TEST_P(Cube3dGptTest, GreedyCodesMatchTheReferenceWithFullContextAndWithItsCache) {
  for (const bool reference_cache : {false, true}) {
    const Agreement agreement = verify_cube3d(
        {folder / "shape_gpt.safetensors", folder / "config.json", folder / "expected.safetensors"},
        {.reference_cache = reference_cache, .text = {}});
    EXPECT_TRUE(agreement.holds()) << reference_cache;
    EXPECT_EQ(agreement.sequences.at(0).count, tensor("greedy_ids_full_context").numel());
  }
  EXPECT_FALSE(tensor("greedy_ids_full_context").equal(tensor("greedy_ids_reference_cached")));
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
  EXPECT_THROW(WeightSource(copy / "short.safetensors"), Error);
  EXPECT_THROW(WeightSource(copy / "missing.safetensors"), Error);
  const WeightSource weights(tiny / "shape_gpt.safetensors");
  const auto expect_refusal = [&](const Cube3dGptConfig& other, const std::string& words) {
    try {
      const Cube3dGpt gpt(other, weights);
      ADD_FAILURE() << words;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_THAT(error.what(), testing::HasSubstr(words));
    }
  };
  Cube3dGptConfig other = config;
  other.shape_codes += 1;
  expect_refusal(other,
                 "'transformer.wte.weight' has the shape [35, 32], the configuration expects [36, 32]");
  other = config;
  other.dual_layers += 1;
  expect_refusal(other, "'transformer.dual_blocks.1.attn.pre_c.c_qk.weight' is missing");
  other = config;
  other.single_layers = 0;
  expect_refusal(other,
                 "no place for the tensor 'transformer.single_blocks.0.attn.c_proj.bias' of shape [32]");
  // v0.1 has no box.
  other = config;
  other.box = false;
  expect_refusal(other, "'bbox_proj.bias'");
  // Nothing is allocated by what a configuration says alone.
  other = config;
  other.width = 65536;
  other.dual_layers = 1000;
  expect_refusal(other, "the configuration expects");
  for (const char* text : {"{\"n_layer\": \"many\"}", "{\"n_layer\": 1e300}", "[1]", ""}) {
    write_file_atomically(copy / "config.json", std::string_view(text));
    EXPECT_THROW(Cube3dGptConfig::load(copy / "config.json"), Error) << text;
  }
}

// The published v0.5: 611 tensors, 7.17 GB in fp32.
TEST(Cube3dGpt, TheLayoutCountsThePublishedFile) {
  const PublicLayout layout = public_layout(Cube3dGptConfig{});
  EXPECT_EQ(layout.tensors().size(), 611u);
  EXPECT_NEAR(4e-9 * static_cast<double>(layout.element_count()), 7.17, 0.005);
}

TEST(Cube3dGpt, AModelWithoutBoxesHasNoTokenForThem) {
  const std::filesystem::path tiny = fixtures()[0];
  const test::TemporaryDirectory folder;
  const SafetensorsFile file(tiny / "shape_gpt.safetensors");
  std::vector<NamedTensorView> kept;
  for (const auto& [name, view] : file.tensors())
    if (!name.starts_with("bbox_proj")) kept.push_back({name, view});
  write_safetensors(folder / "v0_1.safetensors", kept);
  Cube3dGptConfig config = Cube3dGptConfig::load(tiny / "config.json");
  config.box = false;
  const Cube3dGpt without(config, WeightSource(folder / "v0_1.safetensors"));
  config.box = true;
  const Cube3dGpt with(config, WeightSource(tiny / "shape_gpt.safetensors"));
  const at::Tensor text = at::randn({1, 5, config.text_width}), box = at::zeros({1, 3});
  EXPECT_EQ(without.condition(text, box).sizes(), at::IntArrayRef({1, 5, config.width}));
  EXPECT_TRUE(without.condition(text, box).equal(with.condition(text, box).narrow(1, 0, 5)));
  EXPECT_EQ(without.greedy_codes(without.condition(text, box), without.condition(text, box), {.steps = 4})[0]
                .size(),
            4u);
}

}  // namespace
}  // namespace omni::model
