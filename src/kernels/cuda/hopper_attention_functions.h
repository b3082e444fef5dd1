#pragma once

#include "hopper_attention_interface.h"
#include "library_symbol.h"

namespace omni::kernels {

// The plug-in's kernels of attention for Hopper.
struct HopperAttentionFunctions {
  OmniCudaAttentionFunction forward = nullptr;
  OmniCudaAttentionBackwardFunction backward = nullptr;
  OmniCudaAttentionSupportsFunction supports = nullptr;
};
// False where the library lacks one.
inline bool find_hopper_attention(void* library, HopperAttentionFunctions& functions) {
  return find_symbol(library, "omni_cuda_hopper_attention_forward", functions.forward) &&
         find_symbol(library, "omni_cuda_hopper_attention_backward", functions.backward) &&
         find_symbol(library, "omni_cuda_hopper_attention_supports", functions.supports);
}

}  // namespace omni::kernels
