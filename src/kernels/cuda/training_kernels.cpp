#include "training_kernels.h"

#include "library_symbol.h"

namespace omni::kernels {

bool find_training_kernels(void* library, CudaTrainingKernels& kernels) {
  return find_symbol(library, "omni_cuda_swiglu", kernels.swiglu) &&
         find_symbol(library, "omni_cuda_swiglu_backward", kernels.swiglu_backward) &&
         find_symbol(library, "omni_cuda_adamw", kernels.adamw) &&
         find_symbol(library, "omni_cuda_norm_gradient", kernels.norm_gradient) &&
         find_symbol(library, "omni_cuda_head_rotation", kernels.head_rotation) &&
         find_symbol(library, "omni_cuda_head_rotation_gradient", kernels.head_rotation_gradient) &&
         find_symbol(library, "omni_cuda_cross_entropy", kernels.cross_entropy) &&
         find_symbol(library, "omni_cuda_gather", kernels.gather) &&
         find_symbol(library, "omni_cuda_code_shares", kernels.code_shares) &&
         find_symbol(library, "omni_cuda_add_rows", kernels.add_rows) &&
         find_symbol(library, "omni_cuda_code_gradient", kernels.code_gradient);
}

}  // namespace omni::kernels
