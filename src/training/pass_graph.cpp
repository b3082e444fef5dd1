#include "pass_graph.h"

#include "omni/core/error.h"
#include "omni/core/log.h"

namespace omni::training {
namespace {

// So that what libraries make when they are first used is there before anything is recorded.
constexpr int kWarmUps = 2;

template <class Source>
at::Tensor pass(const model::Transformer& transformer, const Source& source,
                const model::LossOptions& options) {
  const model::TransformerLoss loss = transformer.loss(source, options);
  loss.objective.sum().backward();
  return loss.sums;
}

// The key that asked for it, before the reason why there is no graph.
[[noreturn]] void refuse(const kernels::DeviceGraphRefusal& refusal) {
  fail(refusal.kind(), "'cuda_graphs: true' cannot be kept: ", refusal.what(), "; or set cuda_graphs: false");
}

}  // namespace

PassGraph::PassGraph(model::Transformer& transformer, c10::Device device)
    : transformer_(&transformer), device_(device) {
  graph_.emplace(device);
}

double PassGraph::Counts::replayed_share() const {
  const std::int64_t all = replayed + plain;
  return all > 0 ? static_cast<double>(replayed) / static_cast<double>(all) : 1;
}

at::Tensor PassGraph::run(const model::PreparedBatch& batch, const model::LossOptions& options) {
  if (!batch.fills_capacity()) {
    ++counts_.plain;
    return pass(*transformer_, batch, options);
  }
  if (!inputs_ || !inputs_->takes(batch)) {
    inputs_.reset();
    sums_ = at::Tensor();
    graph_.emplace(device_);  // that of another shape gives its memory back
    warm_ups_ = 0;
    inputs_.emplace(*transformer_, batch);
  }
  inputs_->write(batch, options);
  if (warm_ups_ < kWarmUps) {
    ++warm_ups_;
    ++counts_.plain;
    return pass(*transformer_, *inputs_, options);
  }
  try {
    if (!graph_->captured()) capture(options);
    graph_->replay();
  } catch (const kernels::DeviceGraphRefusal& refusal) {
    refuse(refusal);
  }
  ++counts_.replayed;
  return sums_.clone();  // the next one is left at the same place
}

void PassGraph::capture(const model::LossOptions& options) {
  // Copies of weights in another type are made within the graph, at every replay, and in its memory.
  transformer_->forget_copies();
  try {
    graph_->capture([&] { sums_ = pass(*transformer_, *inputs_, options); });
  } catch (...) {
    transformer_->forget_copies();  // which nothing has written
    throw;
  }
  log_debug("cuda_graphs: the passes of a micro-batch are recorded");
}

}  // namespace omni::training
