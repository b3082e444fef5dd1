// The gradients of one optimizer step, over its micro-batches.
#pragma once

#include <array>
#include <span>

#include "omni/model/transformer.h"
#include "step_report.h"

namespace omni::training {

struct LossWeights {
  std::array<double, sequence::kModalityCount> modalities{1, 1, 1};  // index: sequence::Modality
  double z_loss = 0;
};

// Adds to the parameters' gradients those of: the sum over modalities of their weight times the mean over all
// their loss-carrying positions of all batches. The means are over the step, so it does not matter how the
// step is cut into micro-batches. What is dropped is a function of dropout_seed and the micro-batch's number.
StepSums accumulate_gradients(const model::Transformer& transformer,
                              std::span<const model::PreparedBatch> batches, const LossWeights& weights,
                              std::uint64_t dropout_seed);

}  // namespace omni::training
