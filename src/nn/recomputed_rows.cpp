#include "recomputed_rows.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "omni/core/error.h"
#include "omni/kernels/cast_linear.h"
#include "omni/kernels/if_defined.h"
#include "omni/kernels/linear_products.h"

namespace omni::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct HeldMaker : torch::CustomClassHolder {
  MakeRows make;
};

class MadeRowsFunction : public torch::autograd::Function<MadeRowsFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& source, const Tensor& weight,
                        const Tensor& cast, const std::optional<Tensor>& given_parameter,
                        const std::optional<Tensor>& given_bias, const c10::intrusive_ptr<HeldMaker>& held) {
    const Tensor parameter = given_parameter.value_or(Tensor()), bias = given_bias.value_or(Tensor());
    context->save_for_backward({source, cast, parameter});
    context->saved_data["maker"] = c10::IValue::make_capsule(held);
    context->saved_data["bias"] = bias.defined();
    return kernels::cast_linear(held->make(source, parameter), weight, cast, bias);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &cast = saved[1], incoming = gradients[0].contiguous();
    // Those that are absent are not counted.
    const bool with_parameter = saved[2].defined(), with_bias = context->saved_data["bias"].toBool();
    const std::size_t parameter_number = 3, bias_number = with_parameter ? 4 : 3;
    const Tensor source = saved[0].detach().set_requires_grad(context->needs_input_grad(0));
    Tensor parameter;
    if (with_parameter)
      parameter = saved[2].detach().set_requires_grad(context->needs_input_grad(parameter_number));
    const Tensor rows = make_again(context, source, parameter);

    Tensor weight_gradient, bias_gradient, source_gradient, parameter_gradient;
    if (context->needs_input_grad(1))
      weight_gradient = kernels::linear_weight_gradient(incoming, rows.detach());
    if (with_bias && context->needs_input_grad(bias_number))
      bias_gradient = incoming.sum(0, false, at::kFloat);
    variable_list wanted;
    if (source.requires_grad()) wanted.push_back(source);
    if (parameter.defined() && parameter.requires_grad()) wanted.push_back(parameter);
    if (!wanted.empty()) {
      variable_list made =
          torch::autograd::grad({rows}, wanted, {kernels::linear_input_gradient(incoming, cast)});
      if (wanted.back().is_same(parameter)) parameter_gradient = made.back();
      if (source.requires_grad()) source_gradient = made.front();
    }
    return {source_gradient, weight_gradient, Tensor(), parameter_gradient, bias_gradient, Tensor()};
  }

 private:
  static Tensor make_again(AutogradContext* context, const Tensor& source, const Tensor& parameter) {
    const at::AutoGradMode recording(true);
    const auto capsule = context->saved_data["maker"].toCapsule();
    return static_cast<const HeldMaker&>(*capsule).make(source, parameter);
  }
};

}  // namespace

Tensor linear_of_made_rows(const Tensor& source, const Tensor& parameter, const MakeRows& make,
                           const CastLinear& layer, at::ScalarType type) {
  ensure(!layer.adapter.defined(), "a layer with an adapter keeps its rows");
  auto held = c10::make_intrusive<HeldMaker>();
  held->make = make;
  return MadeRowsFunction::apply(source, layer.weight.weight(), layer.weight.as(type),
                                 kernels::if_defined(parameter), kernels::if_defined(layer.bias), held);
}

}  // namespace omni::nn
