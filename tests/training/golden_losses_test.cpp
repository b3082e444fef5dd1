// The losses of every stage at the tiny scale, against those that are kept in tests/fixtures/golden: a change
// that is meant to move code alone leaves them where they are, and one that changes a sum by more than its
// rounding shows.
//
// To write the figures anew after a change that is meant to move them, run this test with
// OMNI_WRITE_GOLDEN_LOSSES set to the file.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "metric_lines.h"
#include "omni/core/files.h"
#include "omni/training/trainer.h"
#include "temporary_directory.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

const fs::path source = OMNI_SOURCE_DIR;
const fs::path golden = fs::path(OMNI_TEST_FIXTURES) / "golden";

constexpr int kSteps = 200;
constexpr int kFirstSteps = 20;  // before rounding has had time to grow
constexpr int kLastSteps = 20;

using Losses = std::vector<double>;

// Trains by the stage's shipped file, in fp32 with AdamW alone, and returns the loss of each step.
Losses train(const std::string& stage, const fs::path& output, const fs::path& start, int steps) {
  std::vector<std::string> settings = {
      "output=" + output.string(), "shards=[" + (golden / "tokens").string() + "]",
      // As they were when the losses were kept.
      "input_noise=0.1", "control_noise=0.25", "brief_caption_share=0", "steps=" + std::to_string(steps),
      "minutes=0", "precision=fp32", "muon.enabled=false", "schedule.peak_learning_rate=0.001",
      "tokens_per_step=1024", "tokens_per_micro_batch=512", "log_steps=1"};
  if (stage == "finetune") {  // likewise
    for (const char* share :
         {"mixture.text->image->shape=3", "mixture.text->image->shape->image@view=1",
          "mixture.text+image->shape=1", "mixture.shape+text->shape=5", "replay_share=0.7"})
      settings.push_back(share);
  }
  if (start.empty()) {
    for (const char* name : {"image_tokenizer", "shape_tokenizer", "text_tokenizer.json"}) {
      const std::string modality = std::string(name).substr(0, std::string(name).find('_'));
      settings.push_back("tokenizers." + modality + "=" + (source / "models" / "tiny" / name).string());
    }
  } else {
    settings.push_back("start_bundle=" + start.string());
  }
  run_stage(load_stage_config(source / "configs" / "tiny" / (stage + ".yaml"), stage, settings), {});
  Losses losses;
  for (const nlohmann::json& step : test::metric_lines(output / "metrics.jsonl")) {
    EXPECT_EQ(step.at("step"), losses.size() + 1);
    losses.push_back(step.at("loss"));
  }
  return losses;
}

std::map<std::string, Losses> read_losses(const fs::path& path) {
  std::istringstream lines(read_file_text(path));
  std::map<std::string, Losses> losses;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string stage;
    double loss = 0;
    int step = 0;
    if (line.starts_with('#') || !(words >> stage >> step >> loss)) continue;
    losses[stage].push_back(loss);
  }
  return losses;
}

void write_losses(const fs::path& path, const std::map<std::string, Losses>& losses) {
  std::ofstream file(path);
  file.precision(9);
  file << "# stage, step, loss: written by tests/training/golden_losses_test.cpp\n";
  for (const auto& [stage, values] : losses) {
    for (std::size_t i = 0; i < values.size(); ++i) file << stage << ' ' << i + 1 << ' ' << values[i] << '\n';
  }
}

double mean_of_last(const Losses& losses) {
  return std::accumulate(losses.end() - kLastSteps, losses.end(), 0.0) / kLastSteps;
}

TEST(GoldenLossesSlow, EveryStageLosesWhatItLost) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const test::TemporaryDirectory folder;
  std::map<std::string, Losses> losses;
  // Each later stage starts after few steps of the one before, while these are still equal on every
  // processor.
  const auto start_of = [&](const char* stage, const fs::path& start) {
    train(stage, folder / (std::string("short-") + stage), start, kFirstSteps);
    return folder / (std::string("short-") + stage) / "bundle";
  };
  losses["pretrain"] = train("pretrain", folder / "pretrain", {}, kSteps);
  const fs::path pretrained = start_of("pretrain", {});
  losses["continue"] = train("continue", folder / "continue", pretrained, kSteps);
  const fs::path continued = start_of("continue", pretrained);
  losses["finetune"] = train("finetune", folder / "finetune", continued, kSteps);
  at::set_num_threads(threads);

  if (const char* target = std::getenv("OMNI_WRITE_GOLDEN_LOSSES")) write_losses(target, losses);
  const std::map<std::string, Losses> kept = read_losses(golden / "losses.txt");
  ASSERT_EQ(kept.size(), 3);
  for (const auto& [stage, expected] : kept) {
    const Losses& got = losses.at(stage);
    ASSERT_EQ(expected.size(), kSteps) << stage;
    ASSERT_EQ(got.size(), kSteps) << stage;
    for (int i = 0; i < kFirstSteps; ++i) {
      EXPECT_NEAR(got[i], expected[i], 1e-4 * std::max(1.0, expected[i])) << stage << " step " << i + 1;
    }
    EXPECT_NEAR(mean_of_last(got), mean_of_last(expected), 0.02 * mean_of_last(expected)) << stage;
  }
}

}  // namespace
}  // namespace omni::training
