#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "omni/kernels/decode_linear.h"

namespace omni::kernels {

// As decode_linear(), for many rows: the weight is laid out as a matrix again, in bf16, and the matrix library multiplies, which
// rounds results to bf16. A row's result may depend on how many rows there are.
at::Tensor packed_products(const at::Tensor& x, const DecodeWeight& weight, const at::Tensor& bias);

// The number of rows from which packed_products() takes less time than decode_linear() here: many where the processor
// multiplies tiles of bf16 (AMX), and none, the largest number that there is, elsewhere and in fp32.
std::int64_t rows_for_products(DecodeFormat format);

}  // namespace omni::kernels
