#include "accumulation.h"

#include <gtest/gtest.h>

#include "omni/core/random.h"

namespace omni::training {
namespace {

using sequence::Document;

model::TransformerConfig small_config() {
  model::TransformerConfig config;
  config.width = 32;
  config.single_blocks = 1;
  config.heads = 2;
  config.initial_deviation = 0.3;
  return config;
}

std::vector<std::int32_t> codes(CounterRng& rng, std::int64_t count, std::int32_t bound) {
  std::vector<std::int32_t> drawn;
  for (std::int64_t i = 0; i < count; ++i) drawn.push_back(static_cast<std::int32_t>(rng.below(bound)));
  return drawn;
}

// Texts of random lengths, so that batches differ in their loss weights, and now and then a shape.
Document random_document(CounterRng& rng) {
  Document document;
  document.segments.push_back(
      {sequence::TextPayload{codes(rng, 1 + static_cast<std::int64_t>(rng.below(8)), 20)}, true});
  if (rng.chance(0.5)) {
    sequence::ShapePayload shape;
    shape.size = 3;
    shape.geometry = codes(rng, 8, 16);
    document.segments.push_back({shape, true});
  }
  return document;
}

class Accumulation : public testing::Test {
 protected:
  Accumulation() {
    layout_.text_capacity = 8;
    layout_.geometry_lengths = {8};
    layout_.geometry_grid_side = 2;
    CounterRng rng(3);
    for (int i = 0; i < 24; ++i) documents_.push_back(random_document(rng));
  }

  // Documents of the given numbers each, in order.
  std::vector<sequence::PackedSequence> cut(const std::vector<std::size_t>& counts) const {
    std::vector<sequence::PackedSequence> batches;
    std::size_t next = 0;
    for (const std::size_t count : counts) {
      batches.emplace_back();
      for (std::size_t i = 0; i < count; ++i) {
        append_document(batches.back(), documents_.at(next++), vocabulary_, layout_);
        batches.back().document_tasks.push_back(0);
      }
    }
    EXPECT_EQ(next, documents_.size());
    return batches;
  }

  struct Result {
    model::BatchCounts counts;
    model::LossSums losses;
    std::vector<at::Tensor> gradients;
  };
  Result run(const std::vector<std::size_t>& counts, const LossWeights& weights) const {
    model::Transformer transformer(small_config(), vocabulary_, layout_, 7);
    Result result;
    std::vector<model::PreparedBatch> batches;
    for (const sequence::PackedSequence& batch : cut(counts))
      batches.push_back(transformer.prepare(batch, {.task_count = 1}));
    model::BatchCounts counted;
    for (const model::PreparedBatch& batch : batches) counted.add(batch.counts());
    const StepSums sums = accumulate_gradients(transformer, batches, weights,
                                               {.step_weights = counted.weights, .before_last = {}});
    result.counts = sums.counts;
    result.losses = model::LossSums::read(sums.losses);
    for (const nn::Parameter& parameter : transformer.parameters().all())
      if (parameter.trainable && parameter.value.grad().defined())
        result.gradients.push_back(parameter.value.grad().clone());
    return result;
  }

  sequence::Vocabulary vocabulary_ = sequence::make_vocabulary({.text = 20, .geometry = 16});
  sequence::SequenceLayout layout_;
  std::vector<Document> documents_;
};

TEST_F(Accumulation, AStepDoesNotDependOnHowItIsCut) {
  const LossWeights weights{.modalities = {0.5, 1, 2}, .z_loss = 1e-3};
  const Result whole = run({24}, weights);
  ASSERT_GT(whole.gradients.size(), 5u);
  for (const auto& counts : {std::vector<std::size_t>{12, 12}, {1, 20, 3}, {6, 6, 6, 6}, {0, 24, 0}}) {
    const Result parts = run(counts, weights);
    ASSERT_EQ(parts.gradients.size(), whole.gradients.size());
    for (std::size_t i = 0; i < whole.gradients.size(); ++i) {
      const double scale = whole.gradients[i].abs().max().item<double>();
      EXPECT_LE((parts.gradients[i] - whole.gradients[i]).abs().max().item<double>(), 1e-5 * scale + 1e-7)
          << i;
    }
    for (std::size_t m = 0; m < sequence::kModalityCount; ++m) {
      EXPECT_NEAR(parts.losses.cross_entropy[m], whole.losses.cross_entropy[m],
                  1e-5 * whole.losses.cross_entropy[m]);
      EXPECT_EQ(parts.losses.correct[m], whole.losses.correct[m]);
      EXPECT_EQ(parts.counts.targets[m], whole.counts.targets[m]);
      EXPECT_EQ(parts.counts.weights[m], whole.counts.weights[m]);
    }
    EXPECT_NEAR(parts.losses.task_cross_entropy[0], whole.losses.task_cross_entropy[0],
                1e-5 * whole.losses.task_cross_entropy[0]);
    EXPECT_EQ(parts.counts.task_weights, whole.counts.task_weights);
    EXPECT_EQ(parts.counts.task_tokens, whole.counts.task_tokens);
    EXPECT_EQ(parts.counts.tokens, whole.counts.tokens);
  }
}

TEST_F(Accumulation, AModalityWithoutWeightTeachesNothing) {
  const Result shapes = run({24}, {.modalities = {0, 1, 1}});
  // Texts carry loss and stand before the shapes, so their rows get gradients through attention alone; the
  // objective itself is that of the shapes.
  EXPECT_GT(shapes.counts.weights[0], 0);
  const Result nothing = run({24}, {.modalities = {0, 1, 0}});
  for (const at::Tensor& gradient : nothing.gradients) EXPECT_EQ(gradient.abs().max().item<float>(), 0);
  double largest = 0;
  for (const at::Tensor& gradient : shapes.gradients)
    largest = std::max(largest, gradient.abs().max().item<double>());
  EXPECT_GT(largest, 0);
}

}  // namespace
}  // namespace omni::training
