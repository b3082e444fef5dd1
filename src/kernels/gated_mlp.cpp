#include "omni/kernels/gated_mlp.h"

#include "cpu/swiglu_kernels.h"
#include "linear_panels.h"
#include "omni/kernels/cast_linear.h"
#include "omni/kernels/gradient_function.h"
#include "omni/kernels/linear_products.h"
#include "omni/kernels/profiled_range.h"
#include "omni/kernels/swiglu.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// Of rows, and of each layer the weight and the weight as the products take it.
class GatedMlpFunction : public GradientFunction {
 public:
  std::vector<Tensor> forward(ForwardContext& context, const std::vector<Tensor>& inputs) const override {
    const ProfiledRange profiled("omni::gated_mlp");
    const Tensor &x = inputs[0], &gate_up_cast = inputs[2], &down_cast = inputs[4];
    const std::int64_t rows = x.size(0), inner = down_cast.size(1), width = down_cast.size(0);
    Tensor gates = at::empty({rows, 2 * inner}, x.options()), hidden = at::empty({rows, inner}, x.options());
    Tensor output = at::empty({rows, width}, x.options());
    const Tensor into = transposed_panels(gate_up_cast), out = transposed_panels(down_cast);
    const Bf16Matrix from = view_of(x), between = view_of(hidden);
    for_linear_blocks(rows, [&](std::int64_t first, std::int64_t last) {
      linear_kernels()->multiply(from, {first, last}, into.const_data_ptr<float>(), 2 * inner,
                                 elements_of(gates));
      swiglu_kernels().forward(true, gates.const_data_ptr(), elements_of(hidden), inner, first, last);
      linear_kernels()->multiply(between, {first, last}, out.const_data_ptr<float>(), width,
                                 elements_of(output));
    });
    context.save({x, gates, hidden, gate_up_cast, down_cast});
    return {output};
  }

  std::vector<Tensor> backward(const BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const ProfiledRange profiled("omni::gated_mlp_backward");
    const auto saved = context.saved();
    const Tensor &x = saved[0], &gates = saved[1], &hidden = saved[2], &gate_up = saved[3], &down = saved[4];
    const Tensor incoming = gradients[0].contiguous();
    const std::int64_t rows = x.size(0), inner = down.size(1);
    Tensor gate_gradient = at::empty_like(gates);
    const bool wants_rows = context.needs_gradient(0);
    Tensor x_gradient = wants_rows ? at::empty_like(x) : Tensor();
    const Tensor out = row_panels(down), into = wants_rows ? row_panels(gate_up) : Tensor();
    const Bf16Matrix from = view_of(incoming), between = view_of(gate_gradient);
    for_linear_blocks(rows, [&](std::int64_t first, std::int64_t last) {
      // Of the block alone: nobody else asks for the gradient of the hidden rows.
      const Tensor own = at::empty({last - first, inner}, x.options());
      Bf16Matrix block = from;
      block.data += first * block.stride;
      linear_kernels()->multiply(block, {0, last - first}, out.const_data_ptr<float>(), inner,
                                 elements_of(own));
      const std::int64_t offset = first * 2 * inner;
      swiglu_kernels().backward(true, elements_of(gates) + offset, own.const_data_ptr(),
                                elements_of(gate_gradient) + offset, inner, 0, last - first);
      if (wants_rows)
        linear_kernels()->multiply(between, {first, last}, into.const_data_ptr<float>(), x.size(1),
                                   elements_of(x_gradient));
    });
    const auto of = [&](std::size_t input, const Tensor& gradient, const Tensor& factor) {
      return context.needs_gradient(input) ? linear_weight_gradient(gradient, factor) : Tensor();
    };
    return {x_gradient, of(1, gate_gradient, x), Tensor(), of(3, incoming, hidden), Tensor()};
  }
};

// Through all layers at once.
bool is_fused(const Tensor& x, const CastMatrix& gate_up, const CastMatrix& down) {
  return has_linear_kernel(x, gate_up.cast) && has_linear_kernel(x, down.cast) &&
         x.size(1) <= kDeepestLinear && down.cast.size(0) % kLinearColumns == 0 &&
         gate_up.cast.size(0) <= kDeepestLinear && gate_up.cast.size(0) == 2 * down.cast.size(1);
}

}  // namespace

Tensor gated_mlp(const Tensor& x, const CastMatrix& gate_up, const CastMatrix& down, KernelPath path) {
  if (!is_fused(x, gate_up, down)) {
    const Tensor hidden = swiglu(cast_linear(x, gate_up.weight, gate_up.cast, {}), path);
    return cast_linear(hidden, down.weight, down.cast, {});
  }
  return apply_with_gradient(std::make_unique<GatedMlpFunction>(),
                             {x, gate_up.weight, gate_up.cast, down.weight, down.cast})
      .front();
}

}  // namespace omni::kernels
