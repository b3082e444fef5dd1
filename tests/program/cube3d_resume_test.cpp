// A Cube3D's samples of a file of prompts that a kill cut short, through the file that keeps what is drawn.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "cube3d_sampler.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "sample_model.h"
#include "small_cube3d.h"
#include "small_cube3d_arguments.h"
#include "temporary_directory.h"
#include "unfinished_draws.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;

struct Drawn {
  std::vector<std::int32_t> codes;
  double log_probability = 0;
  bool operator==(const Drawn&) const = default;
};

constexpr std::int64_t kTokensOfAStep = 9;  // of three samples three draws each, of eight codes

// What is drawn is written after every step.
class Cube3dResume : public testing::Test {
 protected:
  using OnTokens = std::function<void(std::int64_t)>;

  void SetUp() override {
    test::write_small_cube3d(OMNI_SOURCE_DIR "/tests/fixtures", folder_ / "published");
    arguments_ = test::small_cube3d_arguments(folder_ / "published");
    arguments_.sampling.temperature = 1;
    arguments_.best_of = 3;
  }

  UnfinishedDraws open(const fs::path& file, const Cube3dSampler& sampler) const {
    UnfinishedDraws keeper(file, json_text(sampler.settings()), arguments_.best_of, /*period=*/{});
    keeper.name_samples([this](std::size_t request, std::uint64_t number) -> UnfinishedDraws::Sample {
      return {prompts_[request].text + std::to_string(number), prompts_[request].text,
              prompts_[request].seed};
    });
    return keeper;
  }
  std::vector<UnfinishedDraws::Sample> samples() const {
    std::vector<UnfinishedDraws::Sample> all;
    for (const SeededPrompt& prompt : prompts_)
      for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(prompt.count); ++i)
        all.push_back({prompt.text + std::to_string(prompt.first_sample + i), prompt.text, prompt.seed});
    return all;
  }
  std::vector<Drawn> sample(Cube3dSampler& sampler, UnfinishedDraws* keeper, OnTokens on_tokens) const {
    generation::SampleOptions options = sample_options(arguments_, /*with_meshes=*/false);
    options.keeper = keeper;
    options.on_progress = [&](std::int64_t tokens, std::int64_t) { on_tokens(tokens); };
    std::vector<Drawn> drawn;
    sampler.sample(prompts_, options, [&](const generation::GeneratedSample& sample) {
      drawn.push_back({sample.shapes.at(0).codes.geometry, sample.log_probability});
    });
    return drawn;
  }
  // Samples in a process of its own, which may take a minute. -> the signal that ended it. Before any thread is started here.
  int signal_that_ends(const fs::path& file, const OnTokens& on_tokens) const {
    std::fflush(nullptr);  // what is still to be written is not the child's
    const pid_t id = ::fork();
    if (id == 0) {
      const rlimit no_core{0, 0};
      ::setrlimit(RLIMIT_CORE, &no_core);
      ::alarm(60);
      Cube3dSampler sampler(arguments_);
      UnfinishedDraws keeper = open(file, sampler);
      sample(sampler, &keeper, on_tokens);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(id, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }
  // Goes on in the file with so many steps, and ends as a run that nothing disturbed.
  void expect_to_go_on(const fs::path& file, std::int64_t steps) const {
    Cube3dSampler sampler(arguments_);
    const std::vector<Drawn> expected = sample(sampler, nullptr, [](std::int64_t) {});
    ASSERT_EQ(expected.size(), 3u);
    testing::internal::CaptureStderr();
    UnfinishedDraws keeper = open(file, sampler);
    keeper.match(samples());
    EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("9 draws go on"));
    EXPECT_EQ(keeper.begun({1, 5}).tokens.size(), static_cast<std::size_t>(steps));
    std::vector<std::int64_t> told;
    EXPECT_EQ(sample(sampler, &keeper, [&](std::int64_t tokens) { told.push_back(tokens); }), expected);
    ASSERT_FALSE(told.empty());
    EXPECT_EQ(told.front(), steps * kTokensOfAStep) << "what was drawn is not drawn again";
  }

  const test::TemporaryDirectory folder_;
  const std::vector<SeededPrompt> prompts_ = {{.text = "a red chair", .seed = 4, .count = 2},
                                              {.text = "a mug", .seed = 5, .first_sample = 1}};
  SampleArguments arguments_;
};

TEST_F(Cube3dResume, SamplesThatAKillCutShortEndAsIfItHadNot) {
  // A step is told of before it is written: of five steps four lie in the file.
  const fs::path killed = folder_ / "killed.jsonl";
  ASSERT_EQ(signal_that_ends(killed,
                             [](std::int64_t tokens) {
                               if (tokens == 5 * kTokensOfAStep) ::raise(SIGKILL);
                             }),
            SIGKILL);
  // While the fourth step is written: a process may not make files of more than 100 bytes any more.
  const fs::path cut = folder_ / "cut.jsonl";
  ASSERT_EQ(signal_that_ends(cut,
                             [](std::int64_t tokens) {
                               const rlimit few_bytes{100, 100};
                               if (tokens == 4 * kTokensOfAStep) ::setrlimit(RLIMIT_FSIZE, &few_bytes);
                             }),
            SIGXFSZ);
  EXPECT_GT(fs::file_size(cut), 100u);
  expect_to_go_on(killed, 4);
  expect_to_go_on(cut, 3);
}

}  // namespace
}  // namespace omni::tools
