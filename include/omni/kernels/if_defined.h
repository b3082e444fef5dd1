#pragma once

#include <optional>

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// LibTorch's calls take undefined tensors only as empty optionals.
inline std::optional<at::Tensor> if_defined(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional<at::Tensor>(tensor) : std::nullopt;
}

}  // namespace omni::kernels
