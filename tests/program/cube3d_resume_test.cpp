// A Cube3D's samples of a file of prompts that a kill cut short, through the file that keeps what is drawn.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "cube3d_sampler.h"
#include "omni/core/files.h"
#include "sample_model.h"
#include "small_cube3d.h"
#include "small_cube3d_arguments.h"
#include "temporary_directory.h"
#include "unfinished_draws.h"

namespace omni::tools {
namespace {

struct Drawn {
  std::vector<std::int32_t> codes;
  double log_probability = 0;
  bool operator==(const Drawn&) const = default;
};

TEST(Cube3dResume, SamplesThatAKillCutShortEndAsIfItHadNot) {
  const test::TemporaryDirectory folder;
  test::write_small_cube3d(OMNI_SOURCE_DIR "/tests/fixtures", folder / "published");
  SampleArguments arguments = test::small_cube3d_arguments(folder / "published");
  arguments.sampling.temperature = 1;
  arguments.best_of = 3;
  Cube3dSampler sampler(arguments);
  const std::vector<SeededPrompt> prompts = {{.text = "a red chair", .seed = 4, .count = 2},
                                             {.text = "a mug", .seed = 5, .first_sample = 1}};
  const auto sample = [&](UnfinishedDraws* keeper, std::int64_t killed_at) {
    generation::SampleOptions options = sample_options(arguments, /*with_meshes=*/false);
    options.keeper = keeper;
    options.on_progress = [=](std::int64_t tokens, std::int64_t) {
      if (tokens >= killed_at) throw std::runtime_error("killed");
    };
    std::vector<Drawn> drawn;
    sampler.sample(prompts, options, [&](const generation::GeneratedSample& sample) {
      drawn.push_back({sample.shapes.at(0).codes.geometry, sample.log_probability});
    });
    return drawn;
  };
  const auto open = [&] {
    UnfinishedDraws keeper(folder / "unfinished.jsonl", sampler.settings().dump(), arguments.best_of,
                           /*period=*/{});
    keeper.name_samples([&](std::size_t request, std::uint64_t number) -> UnfinishedDraws::Sample {
      return {prompts[request].text + std::to_string(number), prompts[request].text, prompts[request].seed};
    });
    return keeper;
  };
  constexpr std::int64_t kNever = 1 << 20;
  const std::vector<Drawn> expected = sample(nullptr, kNever);
  ASSERT_EQ(expected.size(), 3u);
  // Of 72 tokens, 9 a step: the last step that was told of is kept.
  UnfinishedDraws first = open();
  EXPECT_THROW(sample(&first, 45), std::runtime_error);
  testing::internal::CaptureStderr();
  UnfinishedDraws second = open();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("9 draws go on"));
  EXPECT_EQ(second.begun({1, 5}).tokens.size(), 4u);
  EXPECT_EQ(sample(&second, kNever), expected);
}

}  // namespace
}  // namespace omni::tools
