#include "stage_checkpoints.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "caption_world.h"
#include "omni/core/error.h"
#include "stage_start.h"

namespace omni::training {
namespace {

class StageCheckpointsTest : public CaptionWorld {
 protected:
  // A stage as it begins, with moments as if it had learnt something.
  struct Stage {
    explicit Stage(const StageConfig& config)
        : bundle(start_bundle(config)),
          optimizer(bundle.transformer->parameters(), config.adamw, config.muon) {}
    void learn() {
      const c10::NoGradGuard no_grad;
      double value = 0;
      for (const auto& [name, moment] : optimizer.moments())
        moment.copy_(at::arange(moment.numel(), at::kFloat).reshape(moment.sizes()) + ++value);
      optimizer.set_steps_taken(7);
    }
    model::Bundle bundle;
    StageOptimizer optimizer;
  };

  StageConfig with_muon() const {
    StageConfig c = config("run");
    c.muon.enabled = true;
    return c;
  }
};

TEST_F(StageCheckpointsTest, ShareOfEachRankMakesOneCheckpoint) {
  const StageConfig c = with_muon();
  Stage stage(c);
  stage.learn();
  std::vector<checkpoint::ShardReport> reports(3);
  const auto gather = [&](int rank) {
    return [&, rank](std::int64_t, const checkpoint::ShardReport& own) {
      reports[static_cast<std::size_t>(rank)] = own;
      return reports;
    };
  };
  // The first one last: it writes the manifest.
  for (int rank = 2; rank >= 0; --rank) {
    StageCheckpoints checkpoints(c, stage.bundle, stage.optimizer, {rank, 3, gather(rank)});
    checkpoints.begin(nullptr);
    checkpoints.save({.step = 4, .tokens = 9, .seconds = 0, .inputs = {}, .numbers = {{"kept", 0.1}}});
    checkpoints.finish();
  }
  const auto path = checkpoint::checkpoint_path(checkpoint_folder(c.output), 4);
  EXPECT_TRUE(checkpoint::damage_of(path).empty());
  const checkpoint::CheckpointReader reader(path);
  EXPECT_EQ(reader.manifest().shards.size(), 3u);
  EXPECT_EQ(reader.manifest().run.numbers.at("kept"), 0.1);

  StageConfig other = c;
  other.seed = 9;
  Stage restored(other);
  restored.bundle = model::load_bundle(reader);
  StageOptimizer optimizer(restored.bundle.transformer->parameters(), c.adamw, c.muon);
  restore_optimizer(reader, optimizer);
  EXPECT_EQ(optimizer.steps_taken(), 7);
  const auto expected = stage.optimizer.moments(), got = optimizer.moments();
  ASSERT_EQ(expected.size(), got.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::equal(expected[i].second, got[i].second)) << i;
  const auto& values = stage.bundle.transformer->parameters().all();
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_TRUE(at::equal(values[i].master, restored.bundle.transformer->parameters().all()[i].master)) << i;
}

// As where stage 2 adds the tokens of views to a vocabulary.
TEST_F(StageCheckpointsTest, NewRowsOfATableBeginWithoutMoments) {
  const StageConfig c = config("run");
  Stage stage(c);
  stage.learn();
  StageCheckpoints checkpoints(c, stage.bundle, stage.optimizer);
  checkpoints.begin(nullptr);
  checkpoints.save({.step = 1, .tokens = 0, .seconds = 0, .inputs = {}, .numbers = {}});
  checkpoints.finish();
  const checkpoint::CheckpointReader reader(checkpoint::checkpoint_path(checkpoint_folder(c.output), 1));
  model::save_bundle(stage.bundle, folder_ / "bundle");
  StageConfig next = c;
  next.stage = "continue";
  next.start_bundle = (folder_ / "bundle").string();
  Stage grown(next);
  restore_optimizer(reader, grown.optimizer);
  std::int64_t new_rows = 0;
  const auto before = stage.optimizer.moments(), after = grown.optimizer.moments();
  for (std::size_t i = 0; i < after.size(); ++i) {
    const std::int64_t rows = before[i].second.size(0), more = after[i].second.size(0) - rows;
    EXPECT_TRUE(at::equal(after[i].second.narrow(0, 0, rows), before[i].second)) << after[i].first;
    if (more > 0) EXPECT_EQ(at::count_nonzero(after[i].second.narrow(0, rows, more)).item<std::int64_t>(), 0);
    new_rows += more;
  }
  EXPECT_GT(new_rows, 0);
  // The other way round they do not fit.
  StageCheckpoints larger(next, grown.bundle, grown.optimizer);
  larger.save({.step = 2, .tokens = 0, .seconds = 0, .inputs = {}, .numbers = {}});
  larger.finish();
  EXPECT_THROW(restore_optimizer(
                   checkpoint::CheckpointReader(checkpoint::checkpoint_path(checkpoint_folder(c.output), 2)),
                   stage.optimizer),
               Error);
}

}  // namespace
}  // namespace omni::training
