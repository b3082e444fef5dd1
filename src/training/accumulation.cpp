#include "accumulation.h"

#include "omni/core/random.h"

namespace omni::training {

StepSums accumulate_gradients(const model::Transformer& transformer,
                              std::span<const model::PreparedBatch> batches, const LossWeights& weights,
                              std::uint64_t dropout_seed) {
  StepSums sums;
  // The weight of a modality is summed over all micro-batches before the first backward pass.
  for (const model::PreparedBatch& batch : batches) sums.counts.add(batch.counts());
  model::LossOptions options{.z_loss = weights.z_loss, .training = true};
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m) {
    const double total = sums.counts.weights[m];
    options.modality_weights[m] = total > 0 ? weights.modalities[m] / total : 0;
  }
  for (std::size_t i = 0; i < batches.size(); ++i) {
    options.dropout_seed = hash_combine(dropout_seed, i);
    const model::TransformerLoss loss = transformer.loss(batches[i], options);
    loss.objective.sum().backward();
    sums.add_losses(loss.sums);
  }
  return sums;
}

}  // namespace omni::training
