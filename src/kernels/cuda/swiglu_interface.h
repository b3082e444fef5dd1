#pragma once

#include <cstdint>

#include "types.h"

// SwiGLU on the GPU, C interface of libomni_cuda.so; see omni/kernels/swiglu.h.
extern "C" {

struct OmniCudaSwiglu {
  const void* gate_up;          // [rows, 2 * width], gate first
  const void* output_gradient;  // [rows, width]; of the backward launcher alone
  void* output;                 // [rows, width]; backward: the gradient of gate_up [rows, 2 * width]
  std::int64_t rows, width;
  OmniCudaType type;  // of all of them: fp32 or bf16
};

using OmniCudaSwigluFunction = std::int32_t (*)(const OmniCudaSwiglu*, void* stream);

std::int32_t omni_cuda_swiglu(const OmniCudaSwiglu* arguments, void* stream);
std::int32_t omni_cuda_swiglu_backward(const OmniCudaSwiglu* arguments, void* stream);
}
