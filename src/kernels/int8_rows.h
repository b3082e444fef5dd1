#pragma once

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// The rows of a weight [n, inputs] as int8, each times a scale that makes its largest magnitude 127.
struct Int8Rows {
  at::Tensor values;  // [n, inputs] int8
  at::Tensor scales;  // [n] fp32
  at::Tensor sums;    // [n] int32: of the values
};
// On any device. Throws Error(usage) where the weight is not finite.
Int8Rows int8_rows(const at::Tensor& weight);

}  // namespace omni::kernels
