#include "omni/kernels/gradient_function.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>

#include "omni/core/error.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct HeldFunction : torch::CustomClassHolder {
  std::unique_ptr<const GradientFunction> function;
  std::vector<bool> defined;  // of each input: LibTorch's functions take defined tensors only
};
using HeldFunctionPointer = c10::intrusive_ptr<HeldFunction>;

constexpr const char* kFunction = "function";

class RecordedFunction : public torch::autograd::Function<RecordedFunction> {
 public:
  // defined: those of `inputs` that are. Autograd looks at these alone.
  static variable_list forward(AutogradContext* context, at::TensorList /*defined*/,
                               const HeldFunctionPointer& held, const std::vector<Tensor>* inputs) {
    context->saved_data[kFunction] = c10::IValue::make_capsule(held);
    ForwardContext own(*context);
    return held->function->forward(own, *inputs);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto capsule = context->saved_data[kFunction].toCapsule();
    const auto& held = static_cast<const HeldFunction&>(*capsule);
    variable_list all = held.function->backward(BackwardContext(*context, held.defined), gradients);
    ensure(all.size() == held.defined.size(), "a function of ", held.defined.size(), " inputs returned ",
           all.size(), " gradients");
    variable_list result;
    for (std::size_t i = 0; i < all.size(); ++i) {
      ensure(held.defined[i] || !all[i].defined(), "a function returned a gradient of input ", i,
             ", which is undefined");
      if (held.defined[i]) result.push_back(std::move(all[i]));
    }
    constexpr std::size_t kOthers = 2;  // the arguments of forward() that are no tensors
    result.resize(result.size() + kOthers);
    return result;
  }
};

}  // namespace

void ForwardContext::save(std::vector<Tensor> tensors) { record_->save_for_backward(std::move(tensors)); }
void ForwardContext::mark_non_differentiable(const std::vector<Tensor>& outputs) {
  record_->mark_non_differentiable(outputs);
}
void ForwardContext::leave_missing_gradients_undefined() { record_->set_materialize_grads(false); }

std::vector<Tensor> BackwardContext::saved() const { return record_->get_saved_variables(); }

bool BackwardContext::needs_gradient(std::size_t input) const {
  if (!defined_->at(input)) return false;
  // What is undefined has no edge, so that the edges after it move up.
  const auto edge =
      std::count(defined_->begin(), defined_->begin() + static_cast<std::ptrdiff_t>(input), true);
  return record_->needs_input_grad(static_cast<std::size_t>(edge));
}

std::vector<Tensor> apply_with_gradient(std::unique_ptr<const GradientFunction> function,
                                        const std::vector<Tensor>& inputs) {
  auto held = c10::make_intrusive<HeldFunction>();
  held->function = std::move(function);
  std::vector<Tensor> defined;
  for (const Tensor& input : inputs) {
    held->defined.push_back(input.defined());
    if (input.defined()) defined.push_back(input);
  }
  return RecordedFunction::apply(at::TensorList(defined), held, &inputs);
}

}  // namespace omni::kernels
