#include "training_kernels.h"

#include <dlfcn.h>

namespace omni::kernels {
namespace {

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

}  // namespace

bool find_training_kernels(void* library, CudaTrainingKernels& kernels) {
  return find(library, "omni_cuda_swiglu", kernels.swiglu) &&
         find(library, "omni_cuda_swiglu_backward", kernels.swiglu_backward) &&
         find(library, "omni_cuda_adamw", kernels.adamw) &&
         find(library, "omni_cuda_norm_gradient", kernels.norm_gradient) &&
         find(library, "omni_cuda_head_rotation", kernels.head_rotation) &&
         find(library, "omni_cuda_head_rotation_gradient", kernels.head_rotation_gradient) &&
         find(library, "omni_cuda_cross_entropy", kernels.cross_entropy) &&
         find(library, "omni_cuda_gather", kernels.gather) &&
         find(library, "omni_cuda_code_shares", kernels.code_shares) &&
         find(library, "omni_cuda_add_rows", kernels.add_rows) &&
         find(library, "omni_cuda_code_gradient", kernels.code_gradient);
}

}  // namespace omni::kernels
