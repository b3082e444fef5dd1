#pragma once

#include <utility>

#include "omni/kernels/fused_kernels.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Adding and norming in one pass over memory, forwards and backwards; differentiable. On the CPU a kernel,
// elsewhere the same formula through tensor operations or, with KernelPath::fused, a kernel, too. Rows are cut into fixed chunks, so results do not
// depend on the number of threads.

enum class NormKind { root_mean_square, layer };
struct NormOptions {
  NormKind kind = NormKind::root_mean_square;
  double epsilon = 1e-6;
  at::ScalarType output_type = at::kFloat;
  KernelPath path = KernelPath::library;  // on a GPU, where gradients are wanted
};

// sum = residual + delta and norm(sum) * weight. residual [N, width] fp32; delta [N, width] in output_type,
// or undefined for none; weight [width] fp32 or undefined. Returns (sum [N, width] fp32, normed [N, width]
// output_type).
std::pair<at::Tensor, at::Tensor> add_norm(const at::Tensor& residual, const at::Tensor& delta,
                                           const at::Tensor& weight, const NormOptions& options);

}  // namespace omni::kernels
