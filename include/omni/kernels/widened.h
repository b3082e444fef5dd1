#pragma once

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Where the processor has no AVX-512 the library multiplies bf16 number by number on one thread, many times slower than
// fp32: products and convolutions are to be made in fp32 there.

// Whether `x` is of bf16 and on such a processor.
bool is_widened(const at::Tensor& x);
// `x` in fp32 where it is, otherwise `x` itself.
at::Tensor widened(const at::Tensor& x);

}  // namespace omni::kernels
