#include "omni/kernels/cast_linear.h"

#include "library_products.h"
#include "omni/kernels/gradient_function.h"
#include "omni/kernels/linear_products.h"
#include "omni/kernels/profiled_range.h"
#include "omni/kernels/widened.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// Of rows, the weight, the weight as the products take it, and the bias, which may be undefined.
class CastLinearFunction : public GradientFunction {
 public:
  std::vector<Tensor> forward(ForwardContext& context, const std::vector<Tensor>& inputs) const override {
    const Tensor &x = inputs[0], &cast = inputs[2], &bias = inputs[3];
    context.save({x, cast});
    if (!bias.defined()) return {linear_rows(x, cast)};
    if (!is_widened(x)) return {at::addmm(bias.to(x.scalar_type()), x, cast.t())};
    const Tensor y =
        bias.to(x.scalar_type()).expand({x.size(0), cast.size(0)}).clone(at::MemoryFormat::Contiguous);
    add_product(y, x, cast.t());
    return {y};
  }
  std::vector<Tensor> backward(const BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const ProfiledRange profiled("omni::linear_backward");
    const auto saved = context.saved();
    const Tensor &x = saved[0], &cast = saved[1];
    const Tensor incoming = gradients[0].contiguous();
    Tensor x_gradient, weight_gradient, bias_gradient;
    if (context.needs_gradient(0)) x_gradient = linear_input_gradient(incoming, cast);
    if (context.needs_gradient(1)) weight_gradient = linear_weight_gradient(incoming, x);
    if (context.needs_gradient(3)) bias_gradient = incoming.sum(0, false, at::kFloat);
    return {x_gradient, weight_gradient, Tensor(), bias_gradient};
  }
};

}  // namespace

Tensor cast_linear(const Tensor& x, const Tensor& weight, const Tensor& cast, const Tensor& bias) {
  return apply_with_gradient(std::make_unique<CastLinearFunction>(), {x, weight, cast, bias}).front();
}

}  // namespace omni::kernels
