#include "cuda_add_norm.h"

#include <ATen/core/grad_mode.h>

#include "cuda_launch.h"
#include "omni/kernels/gradient_function.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {
namespace {

using at::Tensor;

bool has_type(const NormOptions& options) {
  return options.output_type == at::kBFloat16 || options.output_type == at::kFloat;
}

// residual and delta contiguous; delta and weight may be undefined. -> (sum, output)
std::pair<Tensor, Tensor> forward_of(const Tensor& residual, const Tensor& delta, const Tensor& weight,
                                     const NormOptions& options) {
  Tensor sum = delta.defined() ? at::empty_like(residual) : residual;
  Tensor output = at::empty(residual.sizes(), residual.options().dtype(options.output_type));
  OmniCudaAddNorm a{};
  a.residual = residual.const_data_ptr<float>();
  a.delta = delta.defined() ? delta.const_data_ptr() : nullptr;
  a.weight = floats_or_null(weight);
  a.sum = delta.defined() ? sum.mutable_data_ptr<float>() : nullptr;
  a.output = output.mutable_data_ptr();
  a.rows = residual.size(0);
  a.width = residual.size(1);
  a.epsilon = static_cast<float>(options.epsilon);
  a.centred = options.kind == NormKind::layer ? 1 : 0;
  a.type = cuda_type(output);
  launch_cuda(residual, "norm", cuda_plugin().add_norm, a);
  return {sum, output};
}

struct NormGradients {
  Tensor sum, delta, weight;  // delta in the type of the output; undefined where not wanted
};

NormGradients backward_of(const BackwardContext& context, const NormOptions& options,
                          const Tensor& output_gradient, const Tensor& sum_gradient, bool with_delta) {
  const ProfiledRange profiled("omni::norm_backward");
  const std::vector<Tensor> saved = context.saved();
  const Tensor &sum = saved[0], &weight = saved[1];
  const Tensor incoming = output_gradient.defined()
                              ? output_gradient.contiguous()
                              : at::zeros(sum.sizes(), sum.options().dtype(options.output_type));
  const Tensor extra = sum_gradient.defined() ? sum_gradient.contiguous() : Tensor();
  NormGradients result;
  result.sum = at::empty_like(sum);
  if (with_delta && options.output_type != at::kFloat) result.delta = at::empty_like(incoming);
  Tensor partial;
  if (context.needs_gradient(2)) {
    result.weight = at::empty_like(weight);
    const std::int64_t chunks = (sum.size(0) + kOmniCudaNormGradientRows - 1) / kOmniCudaNormGradientRows;
    partial = at::empty({chunks, sum.size(1)}, sum.options());
  }
  OmniCudaNormGradient a{};
  a.sum = sum.const_data_ptr<float>();
  a.output_gradient = incoming.const_data_ptr();
  a.sum_gradient = floats_or_null(extra);
  a.weight = floats_or_null(weight);
  a.gradient = result.sum.mutable_data_ptr<float>();
  a.delta_gradient = result.delta.defined() ? result.delta.mutable_data_ptr() : nullptr;
  a.weight_gradient = result.weight.defined() ? result.weight.mutable_data_ptr<float>() : nullptr;
  a.partial = result.weight.defined() ? partial.mutable_data_ptr<float>() : nullptr;
  a.rows = sum.size(0);
  a.width = sum.size(1);
  a.epsilon = static_cast<float>(options.epsilon);
  a.centred = options.kind == NormKind::layer ? 1 : 0;
  a.type = cuda_type(incoming);
  launch_cuda(sum, "the norm's gradient", cuda_plugin().training.norm_gradient, a);
  if (with_delta && !result.delta.defined()) result.delta = result.sum;
  return result;
}

// Of the residual, the delta and the weight, which both may be undefined. -> the sum, where there is a delta (the
// residual itself is no output), and its norm
class CudaNormFunction : public GradientFunction {
 public:
  explicit CudaNormFunction(const NormOptions& options) : options_(options) {}

  std::vector<Tensor> forward(ForwardContext& context, const std::vector<Tensor>& inputs) const override {
    const ProfiledRange profiled("omni::norm");
    const Tensor &delta = inputs[1], &weight = inputs[2];
    const auto [sum, output] = forward_of(inputs[0], delta, weight, options_);
    context.save({sum, weight});
    context.leave_missing_gradients_undefined();
    if (!delta.defined()) return {output};
    return {sum, output};
  }
  std::vector<Tensor> backward(const BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const bool with_delta = gradients.size() == 2;
    const NormGradients own = backward_of(context, options_, gradients.back(),
                                          with_delta ? gradients.front() : Tensor(), with_delta);
    return {own.sum, own.delta, own.weight};
  }

 private:
  NormOptions options_;
};

}  // namespace

std::optional<std::pair<Tensor, Tensor>> cuda_add_norm(const Tensor& residual, const Tensor& delta,
                                                       const Tensor& weight, const NormOptions& options) {
  const bool usable = residual.is_cuda() && has_type(options) && cuda_plugin().status.loaded;
  if (!usable || at::GradMode::is_enabled()) return std::nullopt;
  return forward_of(residual.contiguous(), delta.defined() ? delta.contiguous() : Tensor(), weight, options);
}

std::optional<std::pair<Tensor, Tensor>> cuda_differentiable_add_norm(const Tensor& residual,
                                                                      const Tensor& delta,
                                                                      const Tensor& weight,
                                                                      const NormOptions& options) {
  if (!takes_fused_kernel(residual, options.path, "norm") || !has_type(options)) return std::nullopt;
  if (residual.size(1) > kOmniCudaNormGradientWidth)
    fail(ErrorKind::usage, "the fused kernel norm takes rows of at most ", kOmniCudaNormGradientWidth,
         " elements, not ", residual.size(1), ". Leave it out of fused_kernels");
  const Tensor added = delta.defined() ? delta.contiguous() : Tensor();
  const std::vector<Tensor> out = apply_with_gradient(std::make_unique<CudaNormFunction>(options),
                                                      {residual.contiguous(), added, weight});
  return std::pair(added.defined() ? out.front() : residual, out.back());
}

}  // namespace omni::kernels
