#include "omni/nn/block_executor.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace omni::nn {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class PlainExecutor : public BlockExecutor {
 public:
  std::vector<Tensor> run(std::size_t /*unit*/, const BlockFunction& block,
                          const std::vector<Tensor>& inputs) const override {
    return block(inputs);
  }
};

// A block and which of its inputs are defined: custom functions carry defined tensors only. After the inputs
// comes one that nothing is computed from and that wants a gradient: without one the backward pass would pass
// the block by.
struct HeldBlock : torch::CustomClassHolder {
  BlockFunction block;
  std::vector<bool> defined;
  std::size_t unit = 0;
  BlockVisitor* visitor = nullptr;

  void enter(BlockVisitor::Pass pass) const {
    if (visitor != nullptr) visitor->enter(unit, pass);
  }
  void leave(BlockVisitor::Pass pass) const {
    if (visitor != nullptr) visitor->leave(unit, pass);
  }
  std::vector<Tensor> run_forward(const std::vector<Tensor>& all) const {
    enter(BlockVisitor::Pass::forward);
    std::vector<Tensor> outputs = block(all);
    leave(BlockVisitor::Pass::forward);
    return outputs;
  }

  std::vector<Tensor> inputs(const std::vector<Tensor>& given) const {
    std::vector<Tensor> all;
    std::size_t next = 0;
    for (const bool present : defined) all.push_back(present ? given[next++] : Tensor());
    return all;
  }
};

class RecomputeFunction : public torch::autograd::Function<RecomputeFunction> {
 public:
  static variable_list forward(AutogradContext* context, at::TensorList inputs,
                               const c10::intrusive_ptr<HeldBlock>& held) {
    context->save_for_backward(inputs.vec());
    context->saved_data["block"] = c10::IValue::make_capsule(held);
    context->set_materialize_grads(false);
    return held->run_forward(held->inputs(inputs.vec()));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto capsule = context->saved_data["block"].toCapsule();
    const auto& held = static_cast<const HeldBlock&>(*capsule);
    variable_list inputs;
    for (const Tensor& saved : context->get_saved_variables()) {
      Tensor input = saved.detach();
      if (context->needs_input_grad(inputs.size())) input.set_requires_grad(true);
      inputs.push_back(input);
    }
    held.enter(BlockVisitor::Pass::backward);
    recompute_and_differentiate(held, inputs, gradients);
    held.leave(BlockVisitor::Pass::backward);
    variable_list result;
    for (const Tensor& input : inputs) result.push_back(input.grad());
    result.emplace_back();
    return result;
  }

 private:
  // Adds to the gradients of the inputs and of the block's parameters. The graph is gone afterwards.
  static void recompute_and_differentiate(const HeldBlock& held, const variable_list& inputs,
                                          const variable_list& gradients) {
    variable_list roots, root_gradients;
    {
      const at::AutoGradMode recording(true);
      const std::vector<Tensor> outputs = held.block(held.inputs(inputs));
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
    auto held = c10::make_intrusive<HeldBlock>();
    held->block = block;
    held->unit = unit;
    held->visitor = visitor_;
    if (!at::GradMode::is_enabled()) return held->run_forward(inputs);
    std::vector<Tensor> given;
    for (const Tensor& input : inputs) {
      held->defined.push_back(input.defined());
      if (input.defined()) given.push_back(input);
    }
    given.push_back(at::empty({0}).requires_grad_());
    return RecomputeFunction::apply(at::TensorList(given), held);
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
