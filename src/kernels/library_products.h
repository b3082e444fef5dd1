#pragma once

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Matrix products by the library. Those of bf16 that are to be widened (widened.h) are made in fp32 piece by piece, as few
// numbers of fp32 are to be held beside what a step keeps.

// left [n, d] right [d, m], both of one type, in that type.
at::Tensor product(const at::Tensor& left, const at::Tensor& right);
// The same into `out` [n, m], and added to what it holds.
void put_product(const at::Tensor& out, const at::Tensor& left, const at::Tensor& right);
void add_product(const at::Tensor& out, const at::Tensor& left, const at::Tensor& right);
// left right in fp32. Where the library multiplies bf16, sums are rounded to it.
at::Tensor wide_product(const at::Tensor& left, const at::Tensor& right);

// out [n, m] of bf16 or fp32 = left right, plus what it holds where `added`: any bf16 matrices on the processor.
void put_widened_product(const at::Tensor& out, const at::Tensor& left, const at::Tensor& right, bool added);

}  // namespace omni::kernels
