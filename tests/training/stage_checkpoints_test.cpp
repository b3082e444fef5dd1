#include "stage_checkpoints.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "caption_world.h"
#include "omni/core/error.h"
#include "omni/core/hash.h"
#include "stage_start.h"
#include "thread_ranks.h"

namespace omni::training {
namespace {

class StageCheckpointsTest : public CaptionWorld {
 protected:
  // A stage as it begins.
  struct Stage {
    Stage(const StageConfig& config, distributed::Collectives& collectives)
        : bundle(start_bundle(config)), optimizer(seal(config, collectives)) {}
    StageOptimizer seal(const StageConfig& config, distributed::Collectives& collectives) const {
      return {bundle.transformer->parameters(),       config.adamw, config.muon, at::kBFloat16, collectives,
              sharding_of(config, collectives.size())};
    }
    // As if it had learnt something: each element is a number of its own.
    void learn() {
      const c10::NoGradGuard no_grad;
      for (const optimizer::StatePiece& piece : optimizer.pieces())
        piece.values.copy_(expected(piece.parameter->name, piece.kind, piece.elements));
      optimizer.set_steps_taken(7);
    }
    static at::Tensor expected(const std::string& name, const std::string& kind,
                               const nn::ElementRange& elements) {
      const auto start = static_cast<double>(hash_string(name + kind) % 1000);
      return at::arange(elements.first, elements.first + elements.count, at::kFloat) + start;
    }
    model::Bundle bundle;
    StageOptimizer optimizer;
  };

  void save(const StageConfig& c, int ranks, std::int64_t step) const {
    test::ThreadTexts texts;
    test::run_thread_ranks(ranks, [&](distributed::Collectives& collectives) {
      test::ThreadRanks own(collectives, texts);
      Stage stage(c, collectives);
      stage.learn();
      StageCheckpoints checkpoints(c, stage.bundle, stage.optimizer, own);
      checkpoints.begin(nullptr);
      checkpoints.save({.step = step, .tokens = 9, .seconds = 0, .inputs = {}, .numbers = {{"kept", 0.1}}});
      checkpoints.finish();
    });
  }
  checkpoint::CheckpointReader saved(const StageConfig& c, std::int64_t step) const {
    const auto path = checkpoint::checkpoint_path(checkpoint_folder(c.output), step);
    EXPECT_TRUE(checkpoint::damage_of(path).empty());
    return checkpoint::CheckpointReader(path);
  }
};

// Whatever the ranks keep (bf16 matrices have fp32 masters), any number of ranks reads what any other wrote.
TEST_F(StageCheckpointsTest, ShareOfEachRankMakesOneCheckpoint) {
  std::int64_t step = 0;
  for (const char* sharding : {"none", "optimizer", "full"}) {
    StageConfig c = config("run");
    c.muon.enabled = std::string(sharding) != "full";
    c.sharding = sharding;
    save(c, 3, ++step);
    const checkpoint::CheckpointReader reader = saved(c, step);
    EXPECT_EQ(reader.manifest().shards.size(), 3u);
    EXPECT_EQ(reader.manifest().run.numbers.at("kept"), 0.1);
    const model::Bundle first = start_bundle(c), read = model::load_bundle(reader);
    for (const nn::Parameter& parameter : first.transformer->parameters().all())
      EXPECT_TRUE(parameter.master.equal(read.transformer->parameters().find(parameter.name)->master))
          << parameter.name;
    test::run_thread_ranks(2, [&](distributed::Collectives& collectives) {
      StageConfig other = c;
      other.sharding = "optimizer";
      Stage stage(other, collectives);
      restore_optimizer(reader, stage.optimizer);
      EXPECT_EQ(stage.optimizer.steps_taken(), 7);
      for (const optimizer::StatePiece& piece : stage.optimizer.pieces())
        EXPECT_TRUE(piece.values.equal(Stage::expected(piece.parameter->name, piece.kind, piece.elements)))
            << piece.parameter->name << piece.kind;
    });
  }
}

TEST_F(StageCheckpointsTest, FrozenWeightsAreWrittenFromWhereTheyLie) {
  model::save_bundle(start_bundle(config("run")), folder_ / "bundle");
  StageConfig c = config("tuned");
  c.stage = "continue";
  c.start_bundle = (folder_ / "bundle").string();
  c.lora.rank = 2;
  c.lora.layers = {"*"};
  test::ThreadTexts texts;
  test::run_thread_ranks(1, [&](distributed::Collectives& collectives) {
    test::ThreadRanks own(collectives, texts);
    Stage stage(c, collectives);
    stage.learn();
    std::size_t changing = 0, frozen = 0;
    for (const nn::Parameter& parameter : stage.bundle.transformer->parameters().all())
      (parameter.trainable ? changing : frozen) += parameter.master.nbytes();
    for (const optimizer::StatePiece& piece : stage.optimizer.pieces()) changing += piece.values.nbytes();
    EXPECT_GT(frozen, changing);
    StageCheckpoints checkpoints(c, stage.bundle, stage.optimizer, own);
    checkpoints.begin(nullptr);
    checkpoints.save({.step = 1, .tokens = 9, .seconds = 0, .inputs = {}, .numbers = {}});
    EXPECT_EQ(checkpoints.copy_bytes(), changing);
    checkpoints.release();
    EXPECT_EQ(checkpoints.copy_bytes(), 0u);
    const model::Bundle read = model::load_bundle(saved(c, 1));
    for (const nn::Parameter& parameter : stage.bundle.transformer->parameters().all())
      EXPECT_TRUE(parameter.master.equal(read.transformer->parameters().find(parameter.name)->master))
          << parameter.name;
  });
}

// As where stage 2 adds the tokens of views to a vocabulary.
TEST_F(StageCheckpointsTest, NewRowsOfATableBeginWithoutMoments) {
  const StageConfig c = config("run");
  save(c, 1, 1);
  model::save_bundle(start_bundle(c), folder_ / "bundle");
  StageConfig next = c;
  next.stage = "continue";
  next.start_bundle = (folder_ / "bundle").string();
  const auto alone = distributed::make_lone_collectives();
  const checkpoint::CheckpointReader reader = saved(c, 1);
  Stage grown(next, *alone);
  restore_optimizer(reader, grown.optimizer);
  std::int64_t new_elements = 0;
  for (const optimizer::StatePiece& piece : grown.optimizer.pieces()) {
    const std::int64_t old =
        c10::multiply_integers(reader.tensors().at(concat(piece.parameter->name, ".", piece.kind)));
    EXPECT_TRUE(
        piece.values.narrow(0, 0, old).equal(Stage::expected(piece.parameter->name, piece.kind, {0, old})))
        << piece.parameter->name;
    const std::int64_t more = piece.elements.count - old;
    EXPECT_EQ(at::count_nonzero(piece.values.narrow(0, old, more)).item<std::int64_t>(), 0);
    new_elements += more;
  }
  EXPECT_GT(new_elements, 0);
  // The other way round they do not fit.
  save(next, 1, 2);
  Stage smaller(c, *alone);
  EXPECT_THROW(restore_optimizer(saved(c, 2), smaller.optimizer), Error);
}

}  // namespace
}  // namespace omni::training
