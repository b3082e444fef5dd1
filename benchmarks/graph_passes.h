#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kernels/timing.h"
#include "omni/kernels/device_graph.h"
#include "omni/model/pass_inputs.h"

namespace omni::benchmarks {

// The passes of batches of one shape, one by one or replayed as a graph.
class GraphPasses {
 public:
  GraphPasses(model::Transformer& transformer, const model::LossOptions& options,
              std::span<const sequence::PackedSequence> sequences)
      : transformer_(&transformer), options_(options), graph_(benchmark::device()) {
    model::BatchCapacity needs;
    for (const sequence::PackedSequence& own : sequences) needs.include(transformer.needs(own));
    model::PrepareOptions prepare;
    prepare.capacity = std::make_shared<const model::BatchCapacity>(needs.with_room(0.15, needs.positions()));
    for (const sequence::PackedSequence& own : sequences)
      batches_.push_back(transformer.prepare(own, prepare));
    inputs_.emplace(transformer, batches_.front());
  }
  std::size_t count() const { return batches_.size(); }

  // -> the objective
  at::Tensor plain(std::size_t number) { return passed(batches_[number]); }
  at::Tensor replayed(std::size_t number) {
    inputs_->write(batches_[number], options_);
    if (!graph_.captured()) {
      for (int warm_up = 0; warm_up < 2; ++warm_up) passed(*inputs_);
      transformer_->forget_copies();
      graph_.capture([&] { objective_ = passed(*inputs_); });
      transformer_->parameters().zero_gradients();
    }
    graph_.replay();
    return objective_.clone();
  }

 private:
  template <class Source>
  at::Tensor passed(const Source& source) {
    const at::Tensor objective = transformer_->loss(source, options_).objective.sum();
    objective.backward();
    return objective.detach();
  }

  model::Transformer* transformer_;
  model::LossOptions options_;
  kernels::DeviceGraph graph_;
  std::vector<model::PreparedBatch> batches_;
  std::optional<model::PassInputs> inputs_;
  at::Tensor objective_;
};

}  // namespace omni::benchmarks
