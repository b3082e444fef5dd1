#pragma once

#include "omni/kernels/embedding.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// The parts of embed() by the plug-in's kernels, below autograd: everything fp32 (indices int64) on one GPU.

// Rows of `table` at `indices` -> [n, width].
at::Tensor cuda_gather(const at::Tensor& table, const at::Tensor& indices);
// Adds to the rows at codes.positions their share of the codebook.
void cuda_add_code_shares(const at::Tensor& rows, const EmbeddedCodes& codes);
// gradient[indices[i]] += rows[i], the same bits in every run. `gradient` [m, width] may be rows of a larger tensor.
void cuda_add_rows(const at::Tensor& gradient, const at::Tensor& indices, const at::Tensor& rows);
// The gradient of codes.projection, from that of the embedded rows.
at::Tensor cuda_projection_gradient(const at::Tensor& rows, const EmbeddedCodes& codes);

}  // namespace omni::kernels
