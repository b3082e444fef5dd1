// Steps of training on a GPU against the processor.
#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "deterministic.h"
#include "omni/core/random.h"
#include "omni/model/transformer.h"
#include "stage_optimizer.h"
#include "test_device.h"

namespace omni::training {
namespace {

class TrainingStepGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::device_refusal().empty()) GTEST_SKIP() << test::device_refusal();
    layout_.text_capacity = 8;
    layout_.geometry_lengths = {8};
    layout_.geometry_grid_side = 2;
    CounterRng rng(3);
    const auto codes = [&](std::int64_t count, std::int32_t bound) {
      std::vector<std::int32_t> drawn;
      for (std::int64_t i = 0; i < count; ++i) drawn.push_back(static_cast<std::int32_t>(rng.below(bound)));
      return drawn;
    };
    for (int i = 0; i < 24; ++i) {
      sequence::ShapePayload shape;
      shape.size = 3;
      shape.geometry = codes(8, 16);
      sequence::append_document(
          batch_,
          {{{sequence::TextPayload{codes(1 + static_cast<std::int64_t>(rng.below(8)), 20)}, true},
            {shape, true}}},
          vocabulary_, layout_);
    }
  }

  struct Run {
    std::vector<double> losses;
    std::vector<at::Tensor> weights;  // on the processor, after the steps
  };
  // Descends on one batch, with Muon for the matrices or with AdamW alone; with adapters: of all layers, and nothing else.
  Run run(at::Device device, at::ScalarType type, bool muon, bool adapters = false,
          const kernels::FusedKernels& fused = {}, int steps = 5) const {
    model::TransformerConfig config;
    config.width = 128;
    config.single_blocks = 2;
    config.heads = 2;
    model::Transformer transformer(config, vocabulary_, layout_, 7);
    if (adapters) transformer.add_adapters({.rank = 4}, 3);
    transformer.to(device);
    transformer.set_activation_type(type);
    transformer.set_fused_kernels(fused);
    const auto alone = distributed::make_lone_collectives();
    StageOptimizer optimizer(transformer.parameters(), {}, {.enabled = muon}, type, *alone, Sharding::none);
    optimizer.set_kernel_path(fused.path(kernels::FusedKernel::adamw));
    Run run;
    for (int step = 0; step < steps; ++step) {
      const at::Tensor objective =
          transformer.loss(transformer.prepare(batch_), {.z_loss = 1e-4}).objective.sum() / 500;
      objective.backward();
      run.losses.push_back(objective.item<double>());
      const auto measure = optimizer.step(1e-3, 1.0);
      EXPECT_EQ(measure.skipped.item<float>(), 0);
      optimizer.zero_gradients();
    }
    for (const nn::Parameter& parameter : transformer.parameters().all())
      run.weights.push_back(parameter.master.cpu().clone());
    return run;
  }

  sequence::Vocabulary vocabulary_ = sequence::make_vocabulary({.text = 20, .geometry = 16});
  sequence::SequenceLayout layout_;
  sequence::PackedSequence batch_;
};

TEST_F(TrainingStepGpu, FiveStepsEndWhereTheProcessorsDo) {
  for (const bool muon : {false, true}) {
    const Run expected = run(at::kCPU, at::kFloat, muon), computed = run(test::device(), at::kFloat, muon);
    for (std::size_t i = 0; i < expected.losses.size(); ++i)
      // Muon's iteration is in bf16.
      EXPECT_NEAR(computed.losses[i] / expected.losses[i], 1, muon ? 1e-2 : 1e-3) << "step " << i;
    EXPECT_LT(computed.losses.back(), 0.95 * computed.losses.front());
    // A gradient next to nothing may have either sign, and AdamW goes by the sign.
    for (std::size_t i = 0; i < expected.weights.size(); ++i)
      EXPECT_LT(test::relative_error(computed.weights[i], expected.weights[i]), 5e-2) << i;
  }
}

// Then AdamW has nothing to optimise.
TEST_F(TrainingStepGpu, AdaptersAloneTakeStepsWithMuon) {
  const Run expected = run(at::kCPU, at::kFloat, true, true),
            computed = run(test::device(), at::kFloat, true, true);
  for (std::size_t i = 0; i < expected.losses.size(); ++i)
    EXPECT_NEAR(computed.losses[i] / expected.losses[i], 1, 1e-2) << "step " << i;
  EXPECT_LT(computed.losses.back(), computed.losses.front());
}

TEST_F(TrainingStepGpu, HalfPrecisionLearnsAsFast) {
  const Run expected = run(at::kCPU, at::kFloat, false), computed = run(test::device(), at::kBFloat16, false);
  for (std::size_t i = 0; i < expected.losses.size(); ++i)
    EXPECT_NEAR(computed.losses[i] / expected.losses[i], 1, 2e-2) << "step " << i;
}

TEST_F(TrainingStepGpu, FusedKernelsEndWhereTheLibraryDoes) {
  const kernels::FusedKernels all({"all"});
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const Run library = run(test::device(), type, false, false, {}, 3),
              fused = run(test::device(), type, false, false, all, 3);
    for (std::size_t i = 0; i < library.losses.size(); ++i)
      EXPECT_NEAR(fused.losses[i] / library.losses[i], 1, type == at::kFloat ? 1e-4 : 2e-2) << "step " << i;
    for (std::size_t i = 0; type == at::kFloat && i < library.weights.size(); ++i)
      EXPECT_LT(test::relative_error(fused.weights[i], library.weights[i]), 5e-2) << i;
  }
}

TEST_F(TrainingStepGpu, DeterministicStepsGiveTheSameBits) {
  const bool before = at::globalContext().deterministicAlgorithms();
  compute_deterministically();
  EXPECT_NE(std::getenv("CUBLAS_WORKSPACE_CONFIG"), nullptr) << "LibTorch refuses matmuls on a GPU";
  const Run first = run(test::device(), at::kBFloat16, false, false, {}, 2),
            again = run(test::device(), at::kBFloat16, false, false, {}, 2);
  const kernels::FusedKernels all({"all"});
  const Run fused = run(test::device(), at::kBFloat16, false, false, all, 2),
            fused_again = run(test::device(), at::kBFloat16, false, false, all, 2);
  at::globalContext().setDeterministicAlgorithms(before, false);
  EXPECT_EQ(first.losses, again.losses);
  EXPECT_EQ(fused.losses, fused_again.losses);
  for (std::size_t i = 0; i < first.weights.size(); ++i) {
    EXPECT_TRUE(at::equal(first.weights[i], again.weights[i])) << i;
    EXPECT_TRUE(at::equal(fused.weights[i], fused_again.weights[i])) << i;
  }
}

}  // namespace
}  // namespace omni::training
