// The model that comes with the program reaches the figures that models/tiny/README.md states.
#include <gtest/gtest.h>

#include "omni/evaluation/sweep.h"
#include "temporary_directory.h"

namespace omni::evaluation {
namespace {

const std::filesystem::path bundle = std::filesystem::path(OMNI_SOURCE_DIR) / "models" / "tiny" / "bundle";

TEST(ShippedModelSlow, HeldOutPromptsAndPicturesReachTheStatedFigures) {
  const test::TemporaryDirectory folder;
  SweepConfig config;
  config.bundles = {{"tiny", bundle.string()}};
  config.output = (folder / "out").string();
  config.tasks = {{"text->shape", 16},
                  {"text->shape", 16, data::CaptionKind::brief},
                  {"text->shape", 16, data::CaptionKind::reworded},
                  {"image->shape", 16}};
  config.settings = {{.name = "greedy", .temperature = 0}};
  config.controls.nearest = false;
  config.gallery = 0;
  const SweepOutcome outcome = run_sweep(config);
  const auto figure = [&](std::size_t task, const char* name) {
    return outcome.summary.tasks.at(task).splits.at("all").at(name).mean;
  };
  // Sixteen prompts of each split: two standard errors below the card's figures.
  EXPECT_GT(figure(0, "iou"), 0.69);
  EXPECT_GT(figure(0, "class"), 0.88);
  EXPECT_GT(figure(0, "colour"), 0.95);
  EXPECT_GT(figure(1, "class"), 0.90);
  EXPECT_GT(figure(1, "named_colour"), 0.95);
  EXPECT_GT(figure(2, "class"), 0.86);
  EXPECT_GT(figure(2, "named_colour"), 0.95);
  EXPECT_GT(figure(3, "iou"), 0.63);
  EXPECT_GT(figure(3, "class"), 0.67);
  for (std::size_t task = 0; task < 4; ++task) EXPECT_EQ(figure(task, "closed"), 1) << task;
}

}  // namespace
}  // namespace omni::evaluation
