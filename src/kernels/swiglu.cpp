#include "omni/kernels/swiglu.h"

#include <ATen/core/grad_mode.h>

#include "cpu/row_chunks.h"
#include "cpu/swiglu_kernels.h"
#include "cuda/cuda_launch.h"
#include "cuda/cuda_swiglu.h"
#include "omni/kernels/gradient_function.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {
namespace {

using at::Tensor;

Tensor swiglu_rows(const Tensor& gate_up) {
  const ProfiledRange profiled("omni::swiglu");
  const std::int64_t rows = gate_up.size(0), width = gate_up.size(1) / 2;
  const bool bf16 = gate_up.scalar_type() == at::kBFloat16;
  Tensor output = at::empty({rows, width}, gate_up.options());
  const void* source = gate_up.const_data_ptr();
  void* target = output.mutable_data_ptr();
  for_row_chunks(rows, [&](std::int64_t, std::int64_t first, std::int64_t last) {
    swiglu_kernels().forward(bf16, source, target, width, first, last);
  });
  return output;
}

class SwigluFunction : public GradientFunction {
 public:
  std::vector<Tensor> forward(ForwardContext& context, const std::vector<Tensor>& inputs) const override {
    context.save({inputs[0]});
    return {swiglu_rows(inputs[0])};
  }
  std::vector<Tensor> backward(const BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const ProfiledRange profiled("omni::swiglu_backward");
    const Tensor gate_up = context.saved()[0];
    const Tensor incoming = gradients[0].contiguous();
    const bool bf16 = gate_up.scalar_type() == at::kBFloat16;
    Tensor result = at::empty_like(gate_up);
    const void *source = gate_up.const_data_ptr(), *gradient = incoming.const_data_ptr();
    void* target = result.mutable_data_ptr();
    for_row_chunks(gate_up.size(0), [&](std::int64_t, std::int64_t first, std::int64_t last) {
      swiglu_kernels().backward(bf16, source, gradient, target, gate_up.size(1) / 2, first, last);
    });
    return {result};
  }
};

}  // namespace

Tensor swiglu(const Tensor& gate_up, KernelPath path) {
  if (has_row_kernel(gate_up) && gate_up.dim() == 2) {
    const Tensor rows = gate_up.contiguous();
    if (!at::GradMode::is_enabled()) return swiglu_rows(rows);
    return apply_with_gradient(std::make_unique<SwigluFunction>(), {rows}).front();
  }
  if (gate_up.dim() == 2 && takes_fused_kernel(gate_up, path, "swiglu")) return cuda_swiglu(gate_up);
  const auto halves = gate_up.chunk(2, -1);
  return at::silu(halves[0]) * halves[1];
}

}  // namespace omni::kernels
