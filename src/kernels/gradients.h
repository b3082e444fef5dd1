#pragma once

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// How gradients of parameters are formed.

// Bytes that a temporary of a product may take where it is made piece by piece.
inline constexpr std::int64_t kPieceBytes = 128 << 20;

// The .grad of a leaf, zeros where there was none.
at::Tensor gradient_of(const at::Tensor& leaf);

// Whether the library gives products of the type in fp32, unrounded: those of halves on a GPU.
bool gives_wide_sums(const at::Tensor& x);

// Adds rows^T x [m, k], from rows [n, m] and x [n, k] of one type, to `gradient` [m, k] fp32, which may be part of a
// larger tensor. On a GPU the sum is rounded to fp32 alone, as where bf16 is widened (library_products.h), elsewhere on the
// processor to the type first, as its matrix library has it.
void add_weight_gradient(const at::Tensor& gradient, const at::Tensor& rows, const at::Tensor& x);

// gradient[indices[i]] += rows[i]: gradient [m, width], rows [n, width], both fp32, indices [n] int64.
void add_rows(const at::Tensor& gradient, const at::Tensor& indices, const at::Tensor& rows);

}  // namespace omni::kernels
