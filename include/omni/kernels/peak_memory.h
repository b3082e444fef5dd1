#pragma once

#include <ATen/core/Tensor.h>

namespace omni::kernels {

// The most memory taken so far, in GB: of a GPU what LibTorch's tensors took there, else what the process took.
double peak_gigabytes(at::Device device);
// All the memory of a GPU, in GB, and what of it nobody has taken.
double device_gigabytes(at::Device gpu);
double free_device_gigabytes(at::Device gpu);

}  // namespace omni::kernels
