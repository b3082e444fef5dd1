#include "accumulation.h"

#include "omni/core/random.h"

namespace omni::training {

StepSums accumulate_gradients(const model::Transformer& transformer,
                              std::span<const sequence::PackedSequence> batches, const LossWeights& weights,
                              std::size_t task_count, std::uint64_t dropout_seed) {
  // The weight of a modality is summed over all micro-batches before the first backward pass.
  std::array<double, sequence::kModalityCount> total_weight{};
  for (const sequence::PackedSequence& batch : batches) {
    for (std::size_t i = 0; i < batch.loss_weights.size(); ++i) {
      total_weight[static_cast<std::size_t>(batch.target_modalities[i])] += batch.loss_weights[i];
    }
  }
  at::Tensor scale = at::zeros({static_cast<std::int64_t>(sequence::kModalityCount)}, at::kFloat);
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m) {
    if (total_weight[m] > 0) scale[static_cast<std::int64_t>(m)] = weights.modalities[m] / total_weight[m];
  }
  model::LossOptions options{
      .z_loss = weights.z_loss, .full_softmax = weights.full_softmax, .training = true};
  StepSums sums;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const sequence::PackedSequence& batch = batches[i];
    options.dropout_seed = hash_combine(dropout_seed, i);
    const model::TransformerLoss loss = transformer.loss(batch, options);
    (loss.objective * scale.to(loss.objective.device())).sum().backward();
    sums.add(StepSums::of(batch, loss, task_count));
  }
  return sums;
}

}  // namespace omni::training
