#include "recomputed_rows.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "omni/core/error.h"
#include "omni/kernels/cast_linear.h"
#include "omni/kernels/gradient_function.h"
#include "omni/kernels/linear_products.h"
#include "omni/kernels/profiled_range.h"

namespace omni::nn {
namespace {

// Of the source, the weight, the weight as the product takes it, the parameter and the bias; the last two may be
// undefined.
class MadeRowsFunction : public kernels::GradientFunction {
 public:
  explicit MadeRowsFunction(MakeRows make) : make_(std::move(make)) {}

  std::vector<Tensor> forward(kernels::ForwardContext& context,
                              const std::vector<Tensor>& inputs) const override {
    const Tensor &source = inputs[0], &weight = inputs[1], &cast = inputs[2], &parameter = inputs[3],
                 &bias = inputs[4];
    context.save({source, cast, parameter});
    return {kernels::cast_linear(make_(source, parameter), weight, cast, bias)};
  }

  std::vector<Tensor> backward(const kernels::BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const kernels::ProfiledRange profiled("omni::made_rows_backward");
    const std::vector<Tensor> saved = context.saved();
    const Tensor &cast = saved[1], incoming = gradients[0].contiguous();
    const Tensor source = saved[0].detach().set_requires_grad(context.needs_gradient(0));
    Tensor parameter;
    if (saved[2].defined()) parameter = saved[2].detach().set_requires_grad(context.needs_gradient(3));
    const Tensor rows = make_again(source, parameter);

    Tensor weight_gradient, bias_gradient, source_gradient, parameter_gradient;
    if (context.needs_gradient(1)) weight_gradient = kernels::linear_weight_gradient(incoming, rows.detach());
    if (context.needs_gradient(4)) bias_gradient = incoming.sum(0, false, at::kFloat);
    std::vector<Tensor> wanted;
    if (source.requires_grad()) wanted.push_back(source);
    if (parameter.defined() && parameter.requires_grad()) wanted.push_back(parameter);
    if (!wanted.empty()) {
      const std::vector<Tensor> made =
          torch::autograd::grad({rows}, wanted, {kernels::linear_input_gradient(incoming, cast)});
      if (wanted.back().is_same(parameter)) parameter_gradient = made.back();
      if (source.requires_grad()) source_gradient = made.front();
    }
    return {source_gradient, weight_gradient, Tensor(), parameter_gradient, bias_gradient};
  }

 private:
  MakeRows make_;

  Tensor make_again(const Tensor& source, const Tensor& parameter) const {
    const at::AutoGradMode recording(true);
    return make_(source, parameter);
  }
};

}  // namespace

Tensor linear_of_made_rows(const Tensor& source, const Tensor& parameter, const MakeRows& make,
                           const CastLinear& layer, at::ScalarType type) {
  ensure(!layer.adapter.defined(), "a layer with an adapter keeps its rows");
  return kernels::apply_with_gradient(
             std::make_unique<MadeRowsFunction>(make),
             {source, layer.weight.weight(), layer.weight.as(type), parameter, layer.bias})
      .front();
}

}  // namespace omni::nn
