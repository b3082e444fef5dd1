#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "omni/kernels/tensor.h"

namespace torch::autograd {
struct AutogradContext;
}

namespace omni::kernels {

// What a function may ask of autograd during its forward pass.
class ForwardContext {
 public:
  explicit ForwardContext(torch::autograd::AutogradContext& record) : record_(&record) {}

  // Autograd keeps the tensors for the backward pass and releases them after it. Inputs, outputs and undefined tensors
  // may be among them. To be called once.
  void save(std::vector<at::Tensor> tensors);
  // These outputs have no gradient. To be called once.
  void mark_non_differentiable(const std::vector<at::Tensor>& outputs);
  // The gradient of an output that nothing was computed from is undefined then, not zeros.
  void leave_missing_gradients_undefined();

 private:
  torch::autograd::AutogradContext* record_;
};

// What a function may ask of autograd during its backward pass.
class BackwardContext {
 public:
  BackwardContext(const torch::autograd::AutogradContext& record, const std::vector<bool>& defined)
      : record_(&record), defined_(&defined) {}

  // What the forward pass saved. Throws c10::Error where one was changed in place since, or was released.
  std::vector<at::Tensor> saved() const;
  // Whether anybody wants the gradient of an input; nobody wants that of an undefined one.
  bool needs_gradient(std::size_t input) const;

 private:
  const torch::autograd::AutogradContext* record_;
  const std::vector<bool>* defined_;
};

// A function of tensors that brings its own gradient. LibTorch's template for these costs each file that instantiates
// it ten seconds of compiling, so one file does for all. An object is one call: what the backward pass needs beside
// tensors are its members. Tensors among them live as long as the graph, so activations belong into
// ForwardContext::save(), and outputs that have a gradient must not be members: they hold the graph.
class GradientFunction {
 public:
  virtual ~GradientFunction() = default;
  // Runs with gradients disabled. Undefined inputs stay undefined. -> the outputs, all defined.
  virtual std::vector<at::Tensor> forward(ForwardContext& context,
                                          const std::vector<at::Tensor>& inputs) const = 0;
  // gradients: of each output. -> of each input; undefined where it is not wanted or there is none.
  virtual std::vector<at::Tensor> backward(const BackwardContext& context,
                                           const std::vector<at::Tensor>& gradients) const = 0;
};

// The outputs of function.forward(inputs). Where gradients are enabled and an input requires one, they carry the
// function, and the backward pass calls function.backward(); it throws omni::Error if that returns too many or too few
// gradients, or one of an undefined input.
std::vector<at::Tensor> apply_with_gradient(std::unique_ptr<const GradientFunction> function,
                                            const std::vector<at::Tensor>& inputs);

}  // namespace omni::kernels
