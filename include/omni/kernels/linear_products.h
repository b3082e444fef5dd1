#pragma once

#include <ATen/ATen.h>

namespace omni::kernels {

// The products of a linear layer and its gradients. Matrices of bf16 with many rows on a processor that has products of
// bf16 pairs, whose sizes are multiples of 16, are multiplied here, which is faster than the library does it (see
// benchmarks/kernels/linear_products.cpp); the others by the library. Results do not depend on the number of threads.

// x [n, k], weight [m, k] of one type -> x weight^T [n, m] in that type.
at::Tensor linear_rows(const at::Tensor& x, const at::Tensor& weight);
// incoming [n, m], weight [m, k] of one type -> incoming weight [n, k] in that type.
at::Tensor linear_input_gradient(const at::Tensor& incoming, const at::Tensor& weight);
// incoming [n, m], x [n, k] of one type -> incoming^T x [m, k] in fp32. Of bf16 the library rounds the sums to bf16 on
// the processor; those that are made here are fp32.
at::Tensor linear_weight_gradient(const at::Tensor& incoming, const at::Tensor& x);

}  // namespace omni::kernels
