#pragma once

#include <ATen/ATen.h>

namespace omni::kernels {

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

}  // namespace omni::kernels
