#include "omni/kernels/cast_linear.h"

#include <torch/csrc/autograd/custom_function.h>

#include "library_products.h"
#include "omni/kernels/if_defined.h"
#include "omni/kernels/linear_products.h"
#include "omni/kernels/widened.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class CastLinearFunction : public torch::autograd::Function<CastLinearFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& cast,
                        const std::optional<Tensor>& given_bias) {
    const Tensor bias = given_bias.value_or(Tensor());
    (void)weight;
    context->save_for_backward({x, cast});
    context->saved_data["bias"] = bias.defined();
    if (!bias.defined()) return linear_rows(x, cast);
    if (!is_widened(x)) return at::addmm(bias.to(x.scalar_type()), x, cast.t());
    const Tensor y =
        bias.to(x.scalar_type()).expand({x.size(0), cast.size(0)}).clone(at::MemoryFormat::Contiguous);
    add_product(y, x, cast.t());
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &cast = saved[1];
    const Tensor incoming = gradients[0].contiguous();
    Tensor x_gradient, weight_gradient, bias_gradient;
    if (context->needs_input_grad(0)) x_gradient = linear_input_gradient(incoming, cast);
    if (context->needs_input_grad(1)) weight_gradient = linear_weight_gradient(incoming, x);
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(3))
      bias_gradient = incoming.sum(0, false, at::kFloat);
    return {x_gradient, weight_gradient, Tensor(), bias_gradient};
  }
};

}  // namespace

Tensor cast_linear(const Tensor& x, const Tensor& weight, const Tensor& cast, const Tensor& bias) {
  return CastLinearFunction::apply(x, weight, cast, if_defined(bias));
}

}  // namespace omni::kernels
