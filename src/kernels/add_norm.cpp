#include "omni/kernels/add_norm.h"

#include <ATen/core/grad_mode.h>

#include "cpu/add_norm_kernels.h"
#include "cpu/row_chunks.h"
#include "cuda/cuda_add_norm.h"
#include "omni/core/error.h"
#include "omni/kernels/gradient_function.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {
namespace {

using at::Tensor;

NormParameters parameters_of(std::int64_t width, const Tensor& weight, const NormOptions& options) {
  NormParameters norm;
  norm.bf16 = options.output_type == at::kBFloat16;
  norm.centred = options.kind == NormKind::layer;
  norm.epsilon = static_cast<float>(options.epsilon);
  norm.width = width;
  norm.weight = weight.defined() ? weight.const_data_ptr<float>() : nullptr;
  return norm;
}

// Of the residual, the delta and the weight; undefined for a delta or a weight that there is not.
std::vector<Tensor> norm_gradients(const Tensor& sum, const Tensor& weight, const NormOptions& options,
                                   const Tensor& output_gradient, const Tensor& sum_gradient,
                                   bool with_delta) {
  const ProfiledRange profiled("omni::norm_backward");
  const auto type = options.output_type;
  const bool bf16 = type == at::kBFloat16;
  const std::int64_t rows = sum.size(0), width = sum.size(1);
  const NormParameters norm = parameters_of(width, weight, options);
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

// The sum of both, or the residual where there is no delta, and its norm.
std::pair<Tensor, Tensor> norm_rows(const Tensor& residual, const Tensor& delta, const Tensor& weight,
                                    const NormOptions& options) {
  const ProfiledRange profiled("omni::norm");
  Tensor sum = delta.defined() ? at::empty_like(residual) : Tensor();
  Tensor output = at::empty(residual.sizes(), residual.options().dtype(options.output_type));
  const NormParameters norm = parameters_of(residual.size(1), weight, options);
  const NormForward arguments{
      residual.const_data_ptr<float>(), delta.defined() ? delta.const_data_ptr() : nullptr,
      sum.defined() ? sum.mutable_data_ptr<float>() : nullptr, output.mutable_data_ptr()};
  for_row_chunks(residual.size(0), [&](std::int64_t, std::int64_t first, std::int64_t last) {
    add_norm_kernels().forward(norm, arguments, first, last);
  });
  return {sum.defined() ? sum : residual, output};
}

// Of the residual, the delta and the weight, which both may be undefined. -> the sum, where there is a delta, and
// its norm
class NormFunction : public GradientFunction {
 public:
  explicit NormFunction(const NormOptions& options) : options_(options) {}

  std::vector<Tensor> forward(ForwardContext& context, const std::vector<Tensor>& inputs) const override {
    const Tensor &residual = inputs[0], &delta = inputs[1], &weight = inputs[2];
    const auto [sum, output] = norm_rows(residual, delta, weight, options_);
    context.save({sum, weight});
    context.leave_missing_gradients_undefined();
    if (!delta.defined()) return {output};
    return {sum, output};
  }
  std::vector<Tensor> backward(const BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const bool with_delta = gradients.size() == 2;
    const std::vector<Tensor> saved = context.saved();
    return norm_gradients(saved[0], saved[1], options_, gradients.back(),
                          with_delta ? gradients.front() : Tensor(), with_delta);
  }

 private:
  NormOptions options_;
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
  if (has_row_kernel(residual) &&
      (options.output_type == at::kBFloat16 || options.output_type == at::kFloat)) {
    const Tensor rows = residual.contiguous(), added = delta.defined() ? delta.contiguous() : Tensor();
    // Sampling makes many of these, of two rows: what keeps them for a backward pass takes longer than they.
    if (!at::GradMode::is_enabled()) return norm_rows(rows, added, weight, options);
    const std::vector<Tensor> out =
        apply_with_gradient(std::make_unique<NormFunction>(options), {rows, added, weight});
    return {added.defined() ? out.front() : residual, out.back()};
  }
  if (at::GradMode::is_enabled())
    if (const auto done = cuda_differentiable_add_norm(residual, delta, weight, options)) return *done;
  if (const auto done = cuda_add_norm(residual, delta, weight, options)) return *done;
  const Tensor sum = delta.defined() ? residual + delta.to(at::kFloat) : residual;
  return {sum, plain_norm(sum, weight, options)};
}

}  // namespace omni::kernels
