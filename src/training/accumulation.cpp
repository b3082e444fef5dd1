#include "accumulation.h"

#include "omni/core/random.h"
#include "omni/kernels/profiled_range.h"
#include "pass_graph.h"

namespace omni::training {

StepSums accumulate_gradients(const model::Transformer& transformer,
                              std::span<const model::PreparedBatch> batches, const LossWeights& weights,
                              const StepShare& share, PassGraph* graph) {
  StepSums sums;
  model::LossOptions options{.z_loss = weights.z_loss, .training = true};
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m) {
    const double total = share.step_weights[m];
    options.modality_weights[m] = total > 0 ? weights.modalities[m] / total : 0;
  }
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const auto number = static_cast<std::uint64_t>(share.first + static_cast<std::int64_t>(i) * share.stride);
    options.dropout_seed = hash_combine(share.dropout_seed, number);
    sums.counts.add(batches[i].counts());
    if (graph != nullptr) {
      const kernels::ProfiledRange profiled("forward and backward", kernels::ProfiledRange::Kind::phase);
      sums.add_losses(graph->run(batches[i], options));
      continue;
    }
    const model::TransformerLoss loss = [&] {
      const kernels::ProfiledRange profiled("forward", kernels::ProfiledRange::Kind::phase);
      return transformer.loss(batches[i], options);
    }();
    if (share.before_last && i + 1 == batches.size()) share.before_last();
    {
      const kernels::ProfiledRange profiled("backward", kernels::ProfiledRange::Kind::phase);
      loss.objective.sum().backward();
    }
    sums.add_losses(loss.sums);
  }
  return sums;
}

}  // namespace omni::training
