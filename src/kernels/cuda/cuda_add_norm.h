#pragma once

#include <optional>
#include <utility>

#include "omni/kernels/add_norm.h"

namespace omni::kernels {

// add_norm() by the kernel of the plug-in: on a GPU, where no gradient is wanted and the plug-in is there;
// nothing elsewhere.
std::optional<std::pair<at::Tensor, at::Tensor>> cuda_add_norm(const at::Tensor& residual,
                                                               const at::Tensor& delta,
                                                               const at::Tensor& weight,
                                                               const NormOptions& options);

// The same, differentiable, by the kernels for either direction: on a GPU, where options.path asks for them; nothing
// elsewhere. Rows are at most 8192 wide.
std::optional<std::pair<at::Tensor, at::Tensor>> cuda_differentiable_add_norm(const at::Tensor& residual,
                                                                              const at::Tensor& delta,
                                                                              const at::Tensor& weight,
                                                                              const NormOptions& options);

}  // namespace omni::kernels
