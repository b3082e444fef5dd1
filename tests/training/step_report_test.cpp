#include "step_report.h"

#include <gtest/gtest.h>

#include <optional>

#include "metric_lines.h"
#include "temporary_directory.h"
#include "thread_ranks.h"

namespace omni::training {
namespace {

const std::vector<std::string> kTasks = {"captions", "text->shape"};

// One text token of cross-entropy `entropy` in `captions`, in a document of `tokens` tokens.
StepSums sums_of(double entropy, std::int64_t tokens) {
  StepSums sums;
  sums.counts.tokens = tokens;
  sums.counts.weights = {1, 0, 0};
  sums.counts.targets = {1, 0, 0};
  sums.counts.task_weights = {1, 0};
  sums.counts.task_tokens = {tokens, 0};
  sums.losses = at::zeros({2 * static_cast<std::int64_t>(sequence::kModalityCount) + 2}, at::kDouble);
  sums.losses[0] = entropy;
  sums.losses[2 * static_cast<std::int64_t>(sequence::kModalityCount)] = entropy;
  return sums;
}

class DistributedStepReport : public testing::Test {
 protected:
  StepContext context(std::int64_t step, double seconds) const {
    StepContext c;
    c.stage = "pretrain";
    c.step = step;
    c.progress = 0.5;
    c.seconds = seconds;
    c.gradient_norm = at::ones({});
    c.memory.total = 3e9;
    c.memory.parts.weights = 2e9;
    c.memory.parts.other = 1e9;
    return c;
  }
  std::vector<nlohmann::json> lines() const { return test::metric_lines(folder_ / "metrics.jsonl"); }

  test::TemporaryDirectory folder_;
};

TEST_F(DistributedStepReport, TellsHowFastTheRanksWere) {
  test::run_thread_ranks(3, [&](distributed::Collectives& collectives) {
    const int rank = collectives.rank();
    std::optional<RunMetrics> metrics;
    if (rank == 0) metrics.emplace(folder_ / "metrics.jsonl");
    StepReport report(metrics ? &*metrics : nullptr, 2, {1, 1, 1}, kTasks, 10, collectives, at::kCPU, 0.005);
    for (std::int64_t step = 1; step <= 4; ++step) {
      StepContext c = context(step, 10 + 2 * static_cast<double>(step));
      c.loader_seconds = rank == 0 ? 0.5 : 2;
      c.compute_seconds = rank == 1 ? 1.5 : 0.5 + 0.25 * rank;
      report.add(sums_of(2, 100), c, false);
    }
  });
  ASSERT_EQ(lines().size(), 2u);
  for (const nlohmann::json& line : lines()) {
    EXPECT_EQ(line.at("loss captions"), 2);
    // 2 steps of 3 x 100 tokens in 4 seconds.
    EXPECT_DOUBLE_EQ(line.at("tokens_per_second"), 150);
    EXPECT_DOUBLE_EQ(line.at("tokens_per_second_per_device"), 50);
    EXPECT_DOUBLE_EQ(line.at("mfu"), 0.25);
    EXPECT_DOUBLE_EQ(line.at("loader_wait"), 0.25);
    EXPECT_DOUBLE_EQ(line.at("step_spread"), 3);
    EXPECT_EQ(line.at("memory_gb"), 3);
    EXPECT_EQ(line.at("memory_gb weights"), 2);
    EXPECT_EQ(line.at("memory_gb optimizer"), 0);
    EXPECT_EQ(line.at("tokens_per_step captions"), 300);
    EXPECT_FALSE(line.contains("tokens_per_step text->shape"));
  }
}

TEST_F(DistributedStepReport, OneRankHasNoSpreadAndAnUnknownPeakNoUtilisation) {
  const auto alone = distributed::make_lone_collectives();
  RunMetrics metrics(folder_ / "metrics.jsonl");
  StepReport report(&metrics, 1, {1, 1, 1}, kTasks, 0, *alone, at::kCPU);
  report.add(sums_of(1, 10), context(1, 1), false);
  EXPECT_FALSE(lines().at(0).contains("step_spread"));
  EXPECT_FALSE(lines().at(0).contains("mfu"));
}

// Three steps of two ranks before a stop, three of one after it, by two.
TEST_F(DistributedStepReport, GoesOnWithAnUnfinishedLine) {
  std::map<std::string, double> state;
  test::run_thread_ranks(2, [&](distributed::Collectives& collectives) {
    std::optional<RunMetrics> metrics;
    if (collectives.rank() == 0) metrics.emplace(folder_ / "metrics.jsonl");
    StepReport report(metrics ? &*metrics : nullptr, 2, {1, 1, 1}, kTasks, 0, collectives, at::kCPU);
    for (std::int64_t step = 1; step <= 3; ++step)
      report.add(sums_of(1, 10 + collectives.rank()), context(step, static_cast<double>(step)), false);
    const auto mine = report.state();
    if (collectives.rank() == 0) state = mine;
  });
  const auto alone = distributed::make_lone_collectives();
  RunMetrics metrics(folder_ / "metrics.jsonl");
  StepReport report(&metrics, 2, {1, 1, 1}, kTasks, 0, *alone, at::kCPU);
  report.restore(state);
  for (std::int64_t step = 4; step <= 6; ++step)
    report.add(sums_of(1, 31), context(step, static_cast<double>(step)), false);
  std::vector<double> tokens;
  for (const nlohmann::json& line : lines()) tokens.push_back(line.at("tokens_per_step captions"));
  EXPECT_EQ(tokens, (std::vector<double>{21, 26, 31}));
}

}  // namespace
}  // namespace omni::training
