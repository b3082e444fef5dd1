#include "omni/kernels/add_norm.h"

#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu/add_norm_kernels.h"
#include "cpu/row_chunks.h"
#include "cuda/cuda_add_norm.h"
#include "omni/core/error.h"
#include "omni/kernels/if_defined.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

NormParameters parameters_of(std::int64_t width, const Tensor& weight, bool centred, double epsilon,
                             bool bf16) {
  NormParameters norm;
  norm.bf16 = bf16;
  norm.centred = centred;
  norm.epsilon = static_cast<float>(epsilon);
  norm.width = width;
  norm.weight = weight.defined() ? weight.const_data_ptr<float>() : nullptr;
  return norm;
}

variable_list norm_gradients(AutogradContext* context, const Tensor& output_gradient,
                             const Tensor& sum_gradient, bool with_delta) {
  RECORD_FUNCTION("omni::norm_backward", std::vector<c10::IValue>());
  const auto saved = context->get_saved_variables();
  const Tensor &sum = saved[0], &weight = saved[1];
  const bool bf16 = context->saved_data["bf16"].toBool();
  const auto type = bf16 ? at::kBFloat16 : at::kFloat;
  const std::int64_t rows = sum.size(0), width = sum.size(1);
  const NormParameters norm = parameters_of(width, weight, context->saved_data["centred"].toBool(),
                                            context->saved_data["epsilon"].toDouble(), bf16);
  const Tensor incoming =
      output_gradient.defined() ? output_gradient.contiguous() : at::zeros_like(sum, type);
  const Tensor extra = sum_gradient.defined() ? sum_gradient.contiguous() : Tensor();
  const std::int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  Tensor gradient = at::empty_like(sum);
  Tensor delta = with_delta && bf16 ? at::empty_like(sum, type) : Tensor();
  Tensor partial = weight.defined() ? at::zeros({chunks, width}, at::kFloat) : Tensor();
  NormBackward arguments;
  arguments.sum = sum.const_data_ptr<float>();
  arguments.output_gradient = incoming.const_data_ptr();
  arguments.sum_gradient = extra.defined() ? extra.const_data_ptr<float>() : nullptr;
  arguments.gradient = gradient.mutable_data_ptr<float>();
  arguments.delta_gradient = delta.defined() ? delta.mutable_data_ptr() : nullptr;
  for_row_chunks(rows, [&](std::int64_t chunk, std::int64_t first, std::int64_t last) {
    NormBackward own = arguments;
    if (partial.defined()) own.weight_gradient = partial.mutable_data_ptr<float>() + chunk * width;
    add_norm_kernels().backward(norm, own, first, last);
  });
  if (with_delta && !bf16) delta = gradient;
  return {gradient, delta, partial.defined() ? partial.sum(0) : Tensor()};
}

void save_norm(AutogradContext* context, const Tensor& sum, const Tensor& weight, bool centred,
               double epsilon, bool bf16) {
  context->save_for_backward({sum, weight});
  context->saved_data["centred"] = centred;
  context->saved_data["epsilon"] = epsilon;
  context->saved_data["bf16"] = bf16;
  context->set_materialize_grads(false);
}

// The sum of both, or the residual where there is no delta, and its norm.
std::pair<Tensor, Tensor> norm_rows(const Tensor& residual, const Tensor& delta, const Tensor& weight,
                                    bool centred, double epsilon, bool bf16) {
  RECORD_FUNCTION("omni::norm", std::vector<c10::IValue>());
  Tensor sum = delta.defined() ? at::empty_like(residual) : Tensor();
  Tensor output = at::empty(residual.sizes(), residual.options().dtype(bf16 ? at::kBFloat16 : at::kFloat));
  const NormParameters norm = parameters_of(residual.size(1), weight, centred, epsilon, bf16);
  const NormForward arguments{
      residual.const_data_ptr<float>(), delta.defined() ? delta.const_data_ptr() : nullptr,
      sum.defined() ? sum.mutable_data_ptr<float>() : nullptr, output.mutable_data_ptr()};
  for_row_chunks(residual.size(0), [&](std::int64_t, std::int64_t first, std::int64_t last) {
    add_norm_kernels().forward(norm, arguments, first, last);
  });
  return {sum.defined() ? sum : residual, output};
}

class AddNormFunction : public torch::autograd::Function<AddNormFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& residual, const Tensor& delta,
                               const std::optional<Tensor>& given_weight, bool centred, double epsilon,
                               bool bf16) {
    const Tensor weight = given_weight.value_or(Tensor());
    const auto [sum, output] = norm_rows(residual, delta, weight, centred, epsilon, bf16);
    save_norm(context, sum, weight, centred, epsilon, bf16);
    return {sum, output};
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    variable_list result = norm_gradients(context, gradients[1], gradients[0], true);
    result.resize(6);
    return result;
  }
};

class NormFunction : public torch::autograd::Function<NormFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& residual,
                        const std::optional<Tensor>& given_weight, bool centred, double epsilon, bool bf16) {
    const Tensor weight = given_weight.value_or(Tensor());
    const Tensor output = norm_rows(residual, {}, weight, centred, epsilon, bf16).second;
    save_norm(context, residual, weight, centred, epsilon, bf16);
    return output;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list result = norm_gradients(context, gradients[0], {}, false);
    return {result[0], result[2], Tensor(), Tensor(), Tensor()};
  }
};

Tensor plain_norm(const Tensor& x, const Tensor& weight, const NormOptions& options) {
  const std::int64_t width = x.size(-1);
  const Tensor y = options.kind == NormKind::layer ? at::layer_norm(x, {width}, weight, {}, options.epsilon)
                                                   : at::rms_norm(x, {width}, weight, options.epsilon);
  return y.to(options.output_type);
}

}  // namespace

std::pair<Tensor, Tensor> add_norm(const Tensor& residual, const Tensor& delta, const Tensor& weight,
                                   const NormOptions& options) {
  ensure(residual.dim() == 2 && residual.scalar_type() == at::kFloat, "add_norm wants fp32 rows");
  ensure(!delta.defined() || delta.scalar_type() == options.output_type,
         "add_norm: the delta has another type than the output");
  const bool centred = options.kind == NormKind::layer, bf16 = options.output_type == at::kBFloat16;
  if (has_row_kernel(residual) && (bf16 || options.output_type == at::kFloat)) {
    const Tensor rows = residual.contiguous();
    // Sampling makes many of these, of two rows: what keeps them for a backward pass takes longer than they.
    if (!at::GradMode::is_enabled())
      return norm_rows(rows, delta.defined() ? delta.contiguous() : Tensor(), weight, centred,
                       options.epsilon, bf16);
    if (!delta.defined())
      return {residual, NormFunction::apply(rows, if_defined(weight), centred, options.epsilon, bf16)};
    const variable_list out =
        AddNormFunction::apply(rows, delta.contiguous(), if_defined(weight), centred, options.epsilon, bf16);
    return {out[0], out[1]};
  }
  if (at::GradMode::is_enabled())
    if (const auto done = cuda_differentiable_add_norm(residual, delta, weight, options)) return *done;
  if (const auto done = cuda_add_norm(residual, delta, weight, options)) return *done;
  const Tensor sum = delta.defined() ? residual + delta.to(at::kFloat) : residual;
  return {sum, plain_norm(sum, weight, options)};
}

}  // namespace omni::kernels
