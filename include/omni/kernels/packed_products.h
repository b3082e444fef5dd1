#pragma once

#include <cstdint>

#include "omni/kernels/decode_linear.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// As decode_linear(), for many rows, on the processor's tiles of bf16 (AMX), or the same spelt out where it has none. Sums are
// in fp32. As exact as decode_linear(): fp32 inputs are taken in three parts that bf16 holds, and in two for int8
// weights; for fp32 weights of other numbers than those of bf16 (see DecodeWeight::shortest()) it is called. A row's
// result is the same whatever other rows there are, but not, in its last bits, that of decode_linear().
at::Tensor packed_products(const at::Tensor& x, const DecodeWeight& weight, const at::Tensor& bias);

// The number of rows from which packed_products() takes less time than decode_linear() here: many where the processor
// has tiles, and none, the largest number that there is, elsewhere.
std::int64_t rows_for_products();

}  // namespace omni::kernels
