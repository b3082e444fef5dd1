#include "omni/nn/block_executor.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "omni/kernels/gradient_function.h"
#include "omni/kernels/profiled_range.h"

namespace omni::nn {
namespace {

using at::Tensor;

class PlainExecutor : public BlockExecutor {
 public:
  std::vector<Tensor> run(std::size_t /*unit*/, const BlockFunction& block,
                          const std::vector<Tensor>& inputs) const override {
    return block(inputs);
  }
};

// Of the inputs of a block and, after them, one that nothing is computed from and that wants a gradient: without one
// the backward pass would pass the block by.
class RecomputeFunction : public kernels::GradientFunction {
 public:
  RecomputeFunction(std::size_t unit, BlockFunction block, BlockVisitor* visitor)
      : unit_(unit), block_(std::move(block)), visitor_(visitor) {}

  // inputs: of the block.
  std::vector<Tensor> run_forward(const std::vector<Tensor>& inputs) const {
    enter(BlockVisitor::Pass::forward);
    std::vector<Tensor> outputs = block_(inputs);
    leave(BlockVisitor::Pass::forward);
    return outputs;
  }

  std::vector<Tensor> forward(kernels::ForwardContext& context,
                              const std::vector<Tensor>& inputs) const override {
    context.save(inputs);
    context.leave_missing_gradients_undefined();
    return run_forward(std::vector<Tensor>(inputs.begin(), inputs.end() - 1));
  }

  std::vector<Tensor> backward(const kernels::BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const kernels::ProfiledRange profiled("omni::recompute_backward");
    std::vector<Tensor> inputs;
    for (const Tensor& saved : context.saved()) {
      Tensor input = saved.defined() ? saved.detach() : saved;
      if (context.needs_gradient(inputs.size())) input.set_requires_grad(true);
      inputs.push_back(input);
    }
    inputs.pop_back();
    enter(BlockVisitor::Pass::backward);
    recompute_and_differentiate(inputs, gradients);
    leave(BlockVisitor::Pass::backward);
    std::vector<Tensor> result;
    for (const Tensor& input : inputs) result.push_back(input.defined() ? input.grad() : Tensor());
    result.emplace_back();
    return result;
  }

 private:
  std::size_t unit_;
  BlockFunction block_;
  BlockVisitor* visitor_;

  void enter(BlockVisitor::Pass pass) const {
    if (visitor_ != nullptr) visitor_->enter(unit_, pass);
  }
  void leave(BlockVisitor::Pass pass) const {
    if (visitor_ != nullptr) visitor_->leave(unit_, pass);
  }

  // Adds to the gradients of the inputs and of the block's parameters. The graph is gone afterwards.
  void recompute_and_differentiate(const std::vector<Tensor>& inputs,
                                   const std::vector<Tensor>& gradients) const {
    std::vector<Tensor> roots, root_gradients;
    {
      const at::AutoGradMode recording(true);
      const std::vector<Tensor> outputs = block_(inputs);
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        if (!gradients[i].defined() || !outputs[i].requires_grad()) continue;
        roots.push_back(outputs[i]);
        root_gradients.push_back(gradients[i]);
      }
    }
    if (!roots.empty()) torch::autograd::backward(roots, root_gradients);
  }
};

class RecomputeExecutor : public BlockExecutor {
 public:
  RecomputeExecutor(const Recomputation& recomputation, BlockVisitor* visitor)
      : recomputation_(recomputation), visitor_(visitor) {}

  std::vector<Tensor> run(std::size_t unit, const BlockFunction& block,
                          const std::vector<Tensor>& inputs) const override {
    if (!recomputation_.takes_whole(unit)) return block(inputs);
    auto function = std::make_unique<RecomputeFunction>(unit, block, visitor_);
    if (!at::GradMode::is_enabled()) return function->run_forward(inputs);
    std::vector<Tensor> all = inputs;
    all.push_back(at::empty({0}).requires_grad_());
    return kernels::apply_with_gradient(std::move(function), all);
  }

 private:
  Recomputation recomputation_;
  BlockVisitor* visitor_;
};

}  // namespace

std::unique_ptr<BlockExecutor> make_plain_executor() { return std::make_unique<PlainExecutor>(); }
std::unique_ptr<BlockExecutor> make_recompute_executor(const Recomputation& recomputation,
                                                       BlockVisitor* visitor) {
  return std::make_unique<RecomputeExecutor>(recomputation, visitor);
}

}  // namespace omni::nn
