#pragma once

#include <cstdint>
#include <optional>

#include "omni/kernels/device_graph.h"
#include "omni/model/pass_inputs.h"

namespace omni::training {

// The forward and backward pass of a micro-batch as one graph of a GPU's launches. Micro-batches of one shape, see
// model::BatchCapacity, replay it; others, of whatever shape, are passed as without a graph. Optimizer, reductions over
// ranks, validation and samples are outside.
class PassGraph {
 public:
  // Throws Error(usage) where there are no graphs. The transformer must outlive it, and from the first pass on keep its
  // parameters' and their gradients' places in memory.
  PassGraph(model::Transformer& transformer, c10::Device device);

  // Adds the batch's gradients to those of the parameters. -> model::TransformerLoss::sums. Of the options z_loss and
  // whether it is training are the first pass's.
  at::Tensor run(const model::PreparedBatch& batch, const model::LossOptions& options);

  struct Counts {
    std::int64_t replayed = 0, plain = 0;
    double replayed_share() const;  // 1 where there was none
  };
  const Counts& counts() const { return counts_; }

 private:
  void capture(const model::LossOptions& options);

  model::Transformer* transformer_;
  c10::Device device_;
  std::optional<model::PassInputs> inputs_;  // of the shape that is captured, or is to be
  std::optional<kernels::DeviceGraph> graph_;
  int warm_ups_ = 0;  // of that shape
  at::Tensor sums_;   // where the graph leaves them
  Counts counts_;
};

}  // namespace omni::training
