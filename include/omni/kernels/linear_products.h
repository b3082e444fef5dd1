#pragma once

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// The products of a linear layer and its gradients. Matrices of bf16 with many rows, whose sizes are multiples of 16, are
// multiplied here on a processor with products of bf16 pairs and no tiles of them, which is as fast as the library or
// faster (see benchmarks/kernels/linear_products.cpp), and the same on any number of threads; others by the library.

// x [n, k], weight [m, k] of one type -> x weight^T [n, m] in that type.
at::Tensor linear_rows(const at::Tensor& x, const at::Tensor& weight);
// incoming [n, m], weight [m, k] of one type -> incoming weight [n, k] in that type.
at::Tensor linear_input_gradient(const at::Tensor& incoming, const at::Tensor& weight);
// incoming [n, m], x [n, k] of one type -> incoming^T x [m, k] in fp32. Of bf16 the library rounds the sums to bf16 on
// the processor; those that are made here are fp32.
at::Tensor linear_weight_gradient(const at::Tensor& incoming, const at::Tensor& x);

}  // namespace omni::kernels
