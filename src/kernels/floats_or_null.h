#pragma once

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Of a tensor that may be undefined, for kernels that take a null pointer then.
inline const float* floats_or_null(const at::Tensor& x) {
  return x.defined() ? x.const_data_ptr<float>() : nullptr;
}

}  // namespace omni::kernels
