#include "omni/generation/cube3d_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "omni/core/error.h"
#include "refusal.h"
#include "temporary_directory.h"

namespace omni::generation {
namespace {

class Cube3dProgramTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder = std::filesystem::path(GetParam());
    if (!std::filesystem::exists(folder)) GTEST_SKIP() << "the larger reference case is not on this machine";
    gpt = std::make_unique<model::Cube3dGpt>(model::Cube3dGptConfig::load(folder / "config.json"),
                                             WeightSource(folder / "shape_gpt.safetensors"));
    expected = std::make_unique<SafetensorsFile>(folder / "expected.safetensors");
    const at::Tensor box = tensor("bbox");
    condition = gpt->condition(tensor("text_embed"), box);
    unconditional = gpt->condition(tensor("uncond_text_embed"), at::zeros_like(box));
  }
  at::Tensor tensor(const std::string& name) const { return nn::to_tensor(expected->at(name)); }

  std::filesystem::path folder;
  std::unique_ptr<model::Cube3dGpt> gpt;
  std::unique_ptr<SafetensorsFile> expected;
  at::Tensor condition, unconditional;
};
INSTANTIATE_TEST_SUITE_P(Cases, Cube3dProgramTest,
                         testing::Values(OMNI_TEST_FIXTURES "/tiny/cube3d/gpt",
                                         OMNI_SHARED_DIR "/fixtures/cube3d/gpt"));

TEST_P(Cube3dProgramTest, GreedyCodesMatchTheReferencesFullContext) {
  const at::Tensor reference = tensor("greedy_ids_full_context");
  const auto codes =
      sample_cube3d(*gpt, condition, unconditional, {.codes = reference.size(1), .guidance = 3});
  ASSERT_EQ(static_cast<std::int64_t>(codes.size()), reference.size(0));
  for (std::int64_t b = 0; b < reference.size(0); ++b)
    for (std::int64_t i = 0; i < reference.size(1); ++i)
      EXPECT_EQ(codes[b][i], reference[b][i].item<std::int64_t>()) << b << " " << i;
}

// Guidance at a code depends on its number, so what follows a prefix is what followed it before.
TEST_P(Cube3dProgramTest, CompletesWhatAShapeStartsWith) {
  Cube3dSampling sampling{.codes = 12, .sampling = {.temperature = 1}, .seed = 4};
  const auto whole = sample_cube3d(*gpt, condition.narrow(0, 0, 1), unconditional.narrow(0, 0, 1), sampling);
  sampling.first_codes = {whole[0].begin(), whole[0].begin() + 7};
  EXPECT_EQ(sample_cube3d(*gpt, condition.narrow(0, 0, 1), unconditional.narrow(0, 0, 1), sampling), whole);
}

// Of more codes than a cache's chunk has and than are multiplied in another order: the same bits all the same. The
// shapes were stopped at different codes, one of them whole and one before its first.
TEST_P(Cube3dProgramTest, ShapesThatWereStoppedEndAsIfTheyHadNotBeen) {
  constexpr std::int64_t kCodes = 200;
  for (const char* precision : {"fp32", "bf16"}) {
    const Cube3dSampling sampling{.codes = kCodes, .sampling = {.temperature = 1}, .seed = 4};
    const auto draw = [&](std::vector<DrawnChoices> begun) {
      std::vector<std::unique_ptr<TokenProgram>> programs;
      for (std::uint64_t number = 0; number < 4; ++number)
        programs.push_back(std::make_unique<Cube3dProgram>(gpt->config(), condition[number % 2 == 0 ? 0 : -1],
                                                           unconditional[0], sampling, number));
      std::vector<std::vector<DrawnChoices>> drawn;  // step by step
      std::int64_t counted = 0;
      run_programs(gpt->transformer(), programs,
                   {.precision = model::parse_decode_precision(precision),
                    .on_tokens = [&](std::int64_t tokens) { counted += tokens; },
                    .begun = std::move(begun),
                    .on_drawn = [&](std::span<const DrawnChoices> all,
                                    bool) { drawn.emplace_back(all.begin(), all.end()); }});
      EXPECT_EQ(counted, 4 * kCodes);
      return drawn;
    };
    const std::vector<std::vector<DrawnChoices>> steps = draw({});
    const std::vector<DrawnChoices>& whole = steps.back();
    std::vector<DrawnChoices> begun(4);
    for (const auto& [shape, codes] : {std::pair(0, 190), {2, 200}, {3, 131}}) {
      begun[shape] = steps.at(codes - 1).at(shape);
      ASSERT_EQ(begun[shape].tokens.size(), static_cast<std::size_t>(codes));
      begun[shape].seconds = 1000;
    }
    const std::vector<DrawnChoices> resumed = draw(begun).back();
    for (std::size_t i = 0; i < begun.size(); ++i) {
      EXPECT_EQ(resumed[i].tokens, whole[i].tokens) << precision << " " << i;
      EXPECT_EQ(resumed[i].log_probability, whole[i].log_probability) << precision << " " << i;
      EXPECT_EQ(resumed[i].seconds > 1000, i != 1);
    }
  }
}

TEST_P(Cube3dProgramTest, MappedWeightsDrawTheSameCodes) {
  const test::TemporaryDirectory copy;
  std::filesystem::copy_file(folder / "shape_gpt.safetensors", copy / "shape_gpt.safetensors");
  model::Cube3dGpt mapped(gpt->config(), WeightSource(copy / "shape_gpt.safetensors"),
                          kernels::DecodeFormat::fp32);
  EXPECT_TRUE(std::filesystem::exists(copy / "shape_gpt.fp32.panels"));
  const Cube3dSampling sampling{.codes = 16};
  EXPECT_EQ(sample_cube3d(mapped, condition, unconditional, sampling),
            sample_cube3d(*gpt, condition, unconditional, sampling));
  at::manual_seed(2);
  const at::Tensor codebook = at::randn({gpt->config().shape_codes, gpt->config().code_dimension});
  mapped.set_codebook(codebook);
  gpt->set_codebook(codebook);
  EXPECT_EQ(sample_cube3d(mapped, condition, unconditional, sampling),
            sample_cube3d(*gpt, condition, unconditional, sampling));
}

TEST_P(Cube3dProgramTest, NeedsRoomForTheLongerOfBothPrompts) {
  const Cube3dSampling sampling{.codes = 4};
  const at::Tensor shorter = condition[0].narrow(0, 0, 1), longer = unconditional[0];
  ASSERT_GT(longer.size(0), 1);
  for (const auto& [first, second] : {std::pair(shorter, longer), std::pair(longer, shorter)})
    EXPECT_EQ(Cube3dProgram(gpt->config(), first, second, sampling, 0).capacity(), longer.size(0) + 4);
}

TEST_P(Cube3dProgramTest, RefusesWhatCannotBeSampled) {
  const auto sample = [&](const Cube3dSampling& sampling) {
    return sample_cube3d(*gpt, condition, unconditional, sampling);
  };
  EXPECT_THROW(sample({.codes = 0}), Error);
  EXPECT_THROW(sample({.codes = 4, .guidance = -1}), Error);
  EXPECT_THROW(sample({.codes = 4, .sampling = {.top_p = 0}}), Error);
  EXPECT_THAT(test::refusal(ErrorKind::usage,
                            [&] {
                              sample({.codes = 1, .first_codes = {0, 0}});
                            }),
              testing::HasSubstr("2 codes are given that a shape of 1 starts with (--first-codes)"));
  EXPECT_THAT(test::refusal(ErrorKind::usage, [&] { sample({.codes = 2, .first_codes = {-1}}); }),
              testing::HasSubstr("(--first-codes) name -1"));
  EXPECT_THROW(sample({.codes = 2, .first_codes = {static_cast<std::int32_t>(gpt->config().shape_codes)}}),
               Error);
}

}  // namespace
}  // namespace omni::generation
