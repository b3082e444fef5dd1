#include "omni/evaluation/run_curves.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "omni/core/error.h"
#include "omni/core/run_metrics.h"
#include "temporary_directory.h"

namespace omni::evaluation {
namespace {

using ::testing::ElementsAre;
using ::testing::IsNan;

TEST(RunCurves, HoldWhatTheTrainerWrote) {
  const test::TemporaryDirectory folder;
  {
    RunMetrics metrics(folder / "metrics.jsonl");
    metrics.write({{"step", 10}, {"loss", 3.5}, {"tokens", 1000}}, {{"stage", "pretrain"}});
    metrics.write({{"step", 20}, {"loss", std::nan("")}, {"tokens", 2000}}, {{"stage", "pretrain"}});
    metrics.write({{"step", 20}, {"validation_loss", 2.75}}, {{"stage", "pretrain"}});
  }
  const RunCurves curves = read_run_curves(folder / "metrics.jsonl");
  EXPECT_EQ(curves.stage, "pretrain");
  EXPECT_THAT(curves.steps, ElementsAre(10, 20));
  EXPECT_THAT(curves.find("loss")->values, ElementsAre(3.5, IsNan()));
  EXPECT_THAT(curves.find("validation_loss")->points, ElementsAre(1u));
  EXPECT_EQ(curves.find("step"), nullptr);
  EXPECT_EQ(curves.broken_lines + curves.repeated_steps, 0u);
  EXPECT_THROW((void)read_run_curves(folder / "nothing"), Error);
}

TEST(RunCurves, LaterLinesOfAStepWin) {
  const RunCurves curves = parse_run_curves(
      "{\"step\":10,\"loss\":5}\n{\"step\":20,\"loss\":4,\"mfu\":0.5}\n{\"step\":30,\"loss\":3}\n"
      "{\"step\":20,\"loss\":6}\n{\"step\":25,\"loss\":2}\n{\"step\":25,\"loss\":1}\n");
  EXPECT_THAT(curves.steps, ElementsAre(10, 20, 25));
  EXPECT_THAT(curves.find("loss")->values, ElementsAre(5, 6, 1));
  EXPECT_EQ(curves.find("mfu"), nullptr) << "its step was taken again";
  EXPECT_EQ(curves.repeated_steps, 3u);
}

TEST(RunCurves, BrokenLinesAreCountedAndPassedOver) {
  const RunCurves curves = parse_run_curves(
      "not json\n{\"step\":1,\"loss\":2}\n\n[1,2]\n{\"loss\":9}\n{\"step\":null}\n{\"step\":\"2\"}\n"
      "{\"step\":3,\"loss\":1e999}\n{\"step\":4,\"loss\":\"high\",\"tokens\":7}\n{\"step\":5,\"lo");
  EXPECT_THAT(curves.steps, ElementsAre(1, 4));
  EXPECT_THAT(curves.find("loss")->values, ElementsAre(2));
  EXPECT_EQ(curves.broken_lines, 8u);
  EXPECT_TRUE(parse_run_curves("").steps.empty());
}

TEST(RunCurves, TokensBetweenTheLinesThatTellThem) {
  const RunCurves curves = parse_run_curves(
      "{\"step\":5,\"validation_loss\":4}\n{\"step\":10,\"tokens\":1000}\n{\"step\":15,\"validation_loss\":3}\n"
      "{\"step\":20,\"tokens\":3000}\n{\"step\":21,\"validation_loss\":3}\n");
  EXPECT_THAT(curves.at_every_point("tokens"), ElementsAre(500, 1000, 2000, 3000, IsNan()));
  EXPECT_THAT(curves.at_every_point("seconds"), ElementsAre(IsNan(), IsNan(), IsNan(), IsNan(), IsNan()));
}

TEST(RunCurves, MedianOfWhatIsFinite) {
  EXPECT_EQ(median({.points = {0, 1, 2, 3}, .values = {9, std::nan(""), 1, 5}}), 5);
  EXPECT_EQ(median({.points = {0}, .values = {std::nan("")}}), 0);
}

}  // namespace
}  // namespace omni::evaluation
