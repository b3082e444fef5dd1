#pragma once

#include "training_kernels_interface.h"

namespace omni::kernels {

// The plug-in's kernels that training alone uses.
struct CudaTrainingKernels {
  OmniCudaSwigluFunction swiglu = nullptr, swiglu_backward = nullptr;
  OmniCudaAdamWFunction adamw = nullptr;
  OmniCudaNormGradientFunction norm_gradient = nullptr;
  OmniCudaHeadRotationFunction head_rotation = nullptr;
  OmniCudaHeadRotationGradientFunction head_rotation_gradient = nullptr;
  OmniCudaCrossEntropyFunction cross_entropy = nullptr;
  OmniCudaGatherFunction gather = nullptr;
  OmniCudaCodeSharesFunction code_shares = nullptr;
  OmniCudaAddRowsFunction add_rows = nullptr;
  OmniCudaCodeGradientFunction code_gradient = nullptr;
};
// From the library as ::dlopen() gave it; false where it lacks one.
bool find_training_kernels(void* library, CudaTrainingKernels& kernels);

}  // namespace omni::kernels
