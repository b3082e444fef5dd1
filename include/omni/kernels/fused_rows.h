#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <utility>

namespace omni::kernels {

// Row-wise operations of a transformer block, each one pass over memory in either direction, all
// differentiable. On the CPU they are hand-written; elsewhere the same formulas through tensor operations.
// Rows are cut into fixed chunks, so results do not depend on the number of threads.

enum class NormKind { root_mean_square, layer };
struct NormOptions {
  NormKind kind = NormKind::root_mean_square;
  double epsilon = 1e-6;
  at::ScalarType output_type = at::kFloat;
};

// sum = residual + delta and norm(sum) * weight. residual [N, width] fp32; delta [N, width] in output_type,
// or undefined for none; weight [width] fp32 or undefined. Returns (sum [N, width] fp32, normed [N, width]
// output_type).
std::pair<at::Tensor, at::Tensor> add_norm(const at::Tensor& residual, const at::Tensor& delta,
                                           const at::Tensor& weight, const NormOptions& options);

// silu(gate) * up for gate_up [N, 2 * width], gate first (Shazeer 2020, arXiv 2002.05202). -> [N, width]
at::Tensor swiglu(const at::Tensor& gate_up);

// Cross-entropy of rows of logits, each against one class of its own row set.
struct RowCrossEntropy {
  at::Tensor objective;  // fp32 scalar with graph: sum of weights x (loss + z_loss x log_sum^2)
  at::Tensor losses;     // [n] fp32, detached and unweighted
  at::Tensor correct;    // [n] bool
};
// hidden [n, width] fp32, bf16 or fp16; rows [classes, width] fp32; targets [n] int32 below `classes`;
// weights [n] fp32; all contiguous. Logits are hidden rows^T, computed and stored in the type of hidden, at
// most 128 MiB of them at a time (or 128 rows): larger sets form their gradients in the forward pass, chunk
// by chunk.
RowCrossEntropy row_cross_entropy(const at::Tensor& hidden, const at::Tensor& rows, const at::Tensor& targets,
                                  const at::Tensor& weights, double z_loss);

// x weight^T + bias for a weight that is kept in fp32 and used in the type of x through `cast` (the same
// values in that type; pass the weight itself where the types agree). The gradient goes to `weight` in fp32.
at::Tensor cast_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& cast,
                       const at::Tensor& bias);

}  // namespace omni::kernels
