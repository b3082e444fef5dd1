// Steps whose passes are replayed as a graph against the same without.
#include "pass_graph.h"

#include <ATen/core/grad_mode.h>
#include <dlfcn.h>
#include <gmock/gmock.h>

#include <cmath>

#include "accumulation.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "stage_optimizer.h"
#include "test_device.h"

namespace omni::training {
namespace {

constexpr std::int64_t kPositions = 256;

class PassGraphGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::device_refusal().empty()) GTEST_SKIP() << test::device_refusal();
    if (test::rehearsing()) GTEST_SKIP() << "the processor has no graphs of launches";
    layout_.text_capacity = 8;
    layout_.geometry_lengths = {8};
    layout_.geometry_grid_side = 2;
    at::manual_seed(4);
    codebooks_ = {{"geometry", at::randn({16, 3})}};
  }

  // Micro-batch number `seed`, of `documents`.
  sequence::PackedSequence batch(std::uint64_t seed, std::int64_t documents) const {
    CounterRng rng(seed);
    const auto codes = [&](std::uint64_t count, std::int32_t bound) {
      std::vector<std::int32_t> drawn;
      for (std::uint64_t i = 0; i < count; ++i) drawn.push_back(static_cast<std::int32_t>(rng.below(bound)));
      return drawn;
    };
    sequence::PackedSequence sequence;
    for (std::int64_t i = 0; i < documents; ++i) {
      sequence::ShapePayload shape;
      shape.size = 3;
      shape.geometry = codes(8, 16);
      sequence::append_document(sequence,
                                {{{sequence::TextPayload{codes(1 + rng.below(8), 20)}, true}, {shape, true}}},
                                vocabulary_, layout_);
    }
    return sequence;
  }

  model::TransformerConfig config(std::int64_t streams) const {
    model::TransformerConfig config;
    config.width = 128;
    config.heads = 2;
    config.single_blocks = streams == 1 ? 2 : 1;
    config.streams = streams;
    config.dual_blocks = streams - 1;
    config.dropout = 0.1;
    return config;
  }

  struct Run {
    std::vector<double> losses;
    std::vector<at::Tensor> weights;
    PassGraph::Counts counts;
  };
  // Two micro-batches a step, of other lengths each time. Of the third step one has more documents than there is room for.
  Run run(bool with_graph, std::int64_t streams, const kernels::FusedKernels& fused, bool recompute) const {
    model::Transformer transformer(config(streams), vocabulary_, layout_, 7, codebooks_);
    transformer.to(test::device());
    transformer.set_activation_type(at::kBFloat16);
    transformer.set_attention_path(kernels::AttentionPath::kernel);
    transformer.set_fused_kernels(fused);
    transformer.set_recompute(recompute);
    const auto alone = distributed::make_lone_collectives();
    StageOptimizer optimizer(transformer.parameters(), {}, {.enabled = false}, at::kBFloat16, *alone,
                             Sharding::none);
    std::optional<PassGraph> graph;
    if (with_graph) graph.emplace(transformer, test::device());
    model::PrepareOptions options{.task_count = 0};
    if (with_graph)
      options.capacity = std::make_shared<const model::BatchCapacity>(
          transformer.needs(batch(0, 9)).with_room(0.1, kPositions));
    Run run;
    for (std::uint64_t step = 0; step < 4; ++step) {
      std::vector<model::PreparedBatch> batches;
      model::BatchCounts all;
      for (const std::uint64_t number : {0, 1}) {
        const std::int64_t documents =
            step == 2 && number == 0 ? 24 : 5 + static_cast<std::int64_t>(step % 3);
        batches.push_back(transformer.prepare(batch(2 * step + number, documents), options));
        all.add(batches.back().counts());
      }
      const StepSums sums = accumulate_gradients(transformer, batches, {.z_loss = 1e-4},
                                                 {.step_weights = all.weights, .dropout_seed = 100 + step},
                                                 graph ? &*graph : nullptr);
      run.losses.push_back(mean_losses(sums, {1, 1, 1}).loss);
      optimizer.step(1e-3, 1.0);
      optimizer.zero_gradients();
    }
    for (const nn::Parameter& parameter : transformer.parameters().all())
      run.weights.push_back(parameter.master.cpu().clone());
    if (graph) run.counts = graph->counts();
    return run;
  }

  // A transformer of one stream and what steps it.
  struct Sealed {
    model::Transformer transformer;
    std::unique_ptr<distributed::Collectives> alone = distributed::make_lone_collectives();
    StageOptimizer optimizer;

    explicit Sealed(const PassGraphGpu& test)
        : transformer(test.config(1), test.vocabulary_, test.layout_, 7, test.codebooks_),
          optimizer(placed(transformer).parameters(), {}, {.enabled = false}, at::kBFloat16, *alone,
                    Sharding::none) {}
    static model::Transformer& placed(model::Transformer& transformer) {
      transformer.to(test::device());
      transformer.set_activation_type(at::kBFloat16);
      transformer.set_fused_kernels(kernels::FusedKernels({"all"}));
      return transformer;
    }
    void take_weights_of(const Sealed& other) {
      const at::NoGradGuard no_grad;
      const auto &mine = transformer.parameters().all(), &others = other.transformer.parameters().all();
      for (std::size_t i = 0; i < mine.size(); ++i) mine[i].value.copy_(others[i].value);
      transformer.forget_copies();
    }
    std::vector<at::Tensor> gradients() const {
      std::vector<at::Tensor> copies;
      for (const nn::Parameter& parameter : transformer.parameters().all())
        if (parameter.trainable) copies.push_back(parameter.value.grad().cpu().clone());
      return copies;
    }
  };

  sequence::Vocabulary vocabulary_ = sequence::make_vocabulary({.text = 20, .geometry = 16});
  sequence::SequenceLayout layout_;
  std::vector<model::RangeCodebook> codebooks_;
};

TEST_F(PassGraphGpu, ReplayedStepsAreTheSameSteps) {
  for (const std::int64_t streams : {1, 2}) {
    const kernels::FusedKernels kernels =
        streams == 1 ? kernels::FusedKernels({"all"}) : kernels::FusedKernels();
    const Run plain = run(false, streams, kernels, false), replayed = run(true, streams, kernels, false);
    EXPECT_EQ(replayed.counts.replayed, 5);
    EXPECT_EQ(replayed.counts.plain, 3);  // two before it is recorded, and one that has no room
    for (std::size_t i = 0; i < plain.losses.size(); ++i)
      EXPECT_NEAR(replayed.losses[i] / plain.losses[i], 1, 5e-3) << streams << " streams, step " << i;
    // A gradient next to nothing may have either sign, and AdamW goes by the sign.
    for (std::size_t i = 0; i < plain.weights.size(); ++i)
      EXPECT_LT(test::relative_error(replayed.weights[i], plain.weights[i]), 5e-2) << streams << ", " << i;
  }
}

TEST_F(PassGraphGpu, BlocksRunAgainWithinTheGraph) {
  const Run plain = run(false, 1, {}, true), replayed = run(true, 1, {}, true);
  for (std::size_t i = 0; i < plain.losses.size(); ++i)
    EXPECT_NEAR(replayed.losses[i] / plain.losses[i], 1, 5e-3) << "step " << i;
}

// What a replay leaves is what the same pass leaves that is not recorded, of a twin that has the weights of the moment and
// no copies of earlier ones: on the GPU that the host plays, bit for bit; on another, sums of attention's gradients may be
// taken in another order each time. It is replayed before the first step and after others, with and without a validation in
// between, which makes copies of its own.
TEST_F(PassGraphGpu, AReplayIsThePassThatItRecorded) {
  constexpr std::uint64_t kPasses = 9, kFirstStep = 3;
  Sealed own(*this), twin(*this);
  const model::PrepareOptions options{.capacity = std::make_shared<const model::BatchCapacity>(
                                          own.transformer.needs(batch(0, 9)).with_room(0.1, kPositions))};
  const bool played = ::dlsym(RTLD_DEFAULT, "omni_host_gpu_reads") != nullptr;
  PassGraph graph(own.transformer, test::device());
  for (std::uint64_t number = 0; number < kPasses; ++number) {
    twin.take_weights_of(own);
    const model::PreparedBatch prepared =
        own.transformer.prepare(batch(number, 4 + static_cast<std::int64_t>(number % 4)), options);
    const model::LossOptions loss{.z_loss = 1e-4,
                                  .dropout_seed = 50 + number,
                                  .modality_weights = {0.01, 0.02, 0.01 * static_cast<double>(number)}};
    const at::Tensor sums = graph.run(prepared, loss).cpu();
    model::PassInputs inputs(twin.transformer, prepared);
    inputs.write(prepared, loss);
    const model::TransformerLoss plain = twin.transformer.loss(inputs, loss);
    plain.objective.sum().backward();
    EXPECT_TRUE(at::equal(sums, plain.sums.cpu())) << number;
    const std::vector<at::Tensor> computed = own.gradients(), expected = twin.gradients();
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_LE(test::relative_error(computed[i], expected[i]), played ? 0 : 1e-2) << number << ", " << i;
    if (number >= kFirstStep) own.optimizer.step(1e-3, 1.0);
    own.optimizer.zero_gradients();
    twin.optimizer.zero_gradients();
    if (number % 2 == 1) continue;
    twin.take_weights_of(own);
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(at::equal(own.transformer.loss(prepared, {}).sums, twin.transformer.loss(prepared, {}).sums))
        << "validation after " << number;
  }
  EXPECT_EQ(graph.counts().replayed, static_cast<std::int64_t>(kPasses) - 2);
}

TEST_F(PassGraphGpu, AnotherShapeIsRecordedAnewAndInputsNameIt) {
  model::Transformer transformer(config(1), vocabulary_, layout_, 7, codebooks_);
  transformer.to(test::device());
  transformer.set_activation_type(at::kBFloat16);
  PassGraph graph(transformer, test::device());
  const auto laid_out = [&](std::int64_t positions) {
    model::PrepareOptions options;
    options.capacity = std::make_shared<const model::BatchCapacity>(
        transformer.needs(batch(0, 9)).with_room(0.1, positions));
    return transformer.prepare(batch(1, 6), options);
  };
  const model::PreparedBatch small = laid_out(kPositions), large = laid_out(2 * kPositions);
  for (const model::PreparedBatch* own : {&small, &small, &small, &large, &large, &large})
    graph.run(*own, {.modality_weights = {0.01, 0.01, 0.01}});
  EXPECT_EQ(graph.counts().replayed, 2);
  EXPECT_EQ(graph.counts().plain, 4);
  model::PassInputs inputs(transformer, small);
  try {
    inputs.write(large, {});
    FAIL() << "a batch of another shape";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("of 640 positions"), testing::HasSubstr("384"),
                               testing::HasSubstr("their lengths vary"),
                               testing::HasSubstr("set cuda_graphs: false")));
  }
}

// As the GPU that the host plays counts it.
TEST_F(PassGraphGpu, WhatAReplayNeedsIsBroughtAndNothingIsWaitedFor) {
  using Count = std::int64_t (*)();
  const auto count_of = [](const char* name) { return reinterpret_cast<Count>(::dlsym(RTLD_DEFAULT, name)); };
  const Count uploads = count_of("omni_host_gpu_uploads"), reads = count_of("omni_host_gpu_reads");
  if (uploads == nullptr) return;
  model::Transformer transformer(config(2), vocabulary_, layout_, 7, codebooks_);
  transformer.to(test::device());
  transformer.set_activation_type(at::kBFloat16);
  model::PrepareOptions options;
  options.capacity =
      std::make_shared<const model::BatchCapacity>(transformer.needs(batch(0, 9)).with_room(0.1, kPositions));
  const model::PreparedBatch own = transformer.prepare(batch(1, 6), options);
  PassGraph graph(transformer, test::device());
  for (int pass = 0; pass < 4; ++pass) {
    const std::int64_t brought = uploads(), waited = reads();
    graph.run(own, {.dropout_seed = 3, .modality_weights = {0.01, 0.01, 0.01}});
    EXPECT_EQ(uploads(), brought + 3) << "the batch, the weights, the keys";
    EXPECT_EQ(reads(), waited);
  }
}

}  // namespace
}  // namespace omni::training
