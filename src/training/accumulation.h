#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>

#include "omni/model/transformer.h"
#include "step_sums.h"

namespace omni::training {

class PassGraph;

// The gradients of one optimizer step, over its micro-batches.

struct LossWeights {
  std::array<double, sequence::kModalityCount> modalities{1, 1, 1};  // index: sequence::Modality
  double z_loss = 0;
};

// What the micro-batches of one rank have to know of the whole step.
struct StepShare {
  std::array<double, sequence::kModalityCount> step_weights{};  // of all ranks: BatchCounts::weights
  std::uint64_t dropout_seed = 0;
  std::int64_t first = 0, stride = 1;  // numbers of the micro-batches in the step
  std::function<void()> before_last;   // called before the last backward pass, if there is one
};

// Adds to the parameters' gradients this rank's share of those of: the sum over modalities of their weight times
// the mean over all their loss-carrying positions of the step. The means are over the step, so it does not
// matter how it is cut into micro-batches. What is dropped is a function of dropout_seed and the micro-batch's
// number. With a graph of the transformer's passes, these are replayed where they can be; before_last is not called
// then, for nothing arrives on the way.
StepSums accumulate_gradients(const model::Transformer& transformer,
                              std::span<const model::PreparedBatch> batches, const LossWeights& weights,
                              const StepShare& share, PassGraph* graph = nullptr);

}  // namespace omni::training
