#include "cuda_add_norm.h"

#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cuda_launch.h"
#include "omni/kernels/if_defined.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

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

// What forward and backward pass of one norm share.
struct SavedNorm : torch::CustomClassHolder {
  NormOptions options;
  explicit SavedNorm(const NormOptions& given) : options(given) {}
};

struct NormGradients {
  Tensor sum, delta, weight;  // delta in the type of the output; undefined where not wanted
};

NormGradients backward_of(AutogradContext* context, const Tensor& output_gradient, const Tensor& sum_gradient,
                          bool with_delta) {
  RECORD_FUNCTION("omni::norm_backward", std::vector<c10::IValue>());
  const auto capsule = context->saved_data["norm"].toCapsule();
  const NormOptions& options = static_cast<const SavedNorm&>(*capsule).options;
  const variable_list saved = context->get_saved_variables();
  const Tensor &sum = saved[0], &weight = saved[1];
  const Tensor incoming = output_gradient.defined()
                              ? output_gradient.contiguous()
                              : at::zeros(sum.sizes(), sum.options().dtype(options.output_type));
  const Tensor extra = sum_gradient.defined() ? sum_gradient.contiguous() : Tensor();
  NormGradients result;
  result.sum = at::empty_like(sum);
  if (with_delta && options.output_type != at::kFloat) result.delta = at::empty_like(incoming);
  Tensor partial;
  if (weight.defined() && context->needs_input_grad(with_delta ? 2 : 1)) {
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

void save(AutogradContext* context, const Tensor& sum, const Tensor& weight, const NormOptions& options) {
  context->save_for_backward({sum, weight});
  context->saved_data["norm"] = c10::IValue::make_capsule(c10::make_intrusive<SavedNorm>(options));
  context->set_materialize_grads(false);
}

class CudaAddNormFunction : public torch::autograd::Function<CudaAddNormFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& residual, const Tensor& delta,
                               const std::optional<Tensor>& weight, const NormOptions& options) {
    RECORD_FUNCTION("omni::norm", std::vector<c10::IValue>());
    const Tensor scale = weight.value_or(Tensor());
    const auto [sum, output] = forward_of(residual, delta, scale, options);
    save(context, sum, scale, options);
    return {sum, output};
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const NormGradients own = backward_of(context, gradients[1], gradients[0], true);
    return {own.sum, own.delta, own.weight, Tensor()};
  }
};

// Without a delta: the sum is the residual itself.
class CudaNormFunction : public torch::autograd::Function<CudaNormFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& residual, const std::optional<Tensor>& weight,
                        const NormOptions& options) {
    RECORD_FUNCTION("omni::norm", std::vector<c10::IValue>());
    const Tensor scale = weight.value_or(Tensor());
    const Tensor output = forward_of(residual, {}, scale, options).second;
    save(context, residual, scale, options);
    return output;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const NormGradients own = backward_of(context, gradients[0], {}, false);
    return {own.sum, own.weight, Tensor()};
  }
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
  const Tensor rows = residual.contiguous();
  if (!delta.defined())
    return std::pair(residual, CudaNormFunction::apply(rows, if_defined(weight), options));
  const variable_list out = CudaAddNormFunction::apply(rows, delta.contiguous(), if_defined(weight), options);
  return std::pair(out[0], out[1]);
}

}  // namespace omni::kernels
