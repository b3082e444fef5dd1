#pragma once

#include <cstdint>

#include "cache_write_interface.h"
#include "decode_attention_interface.h"
#include "decode_plan_interface.h"
#include "packed_attention_interface.h"
#include "token_sampling_interface.h"
#include "training_kernels_interface.h"
#include "types.h"

// The C interface between the library and libomni_cuda.so, the plug-in that holds its GPU kernels. Launchers
// take raw device pointers and a cudaStream_t, return a cudaError_t as int, and do not wait.
extern "C" {

constexpr std::int32_t kOmniCudaInterface = 7;  // raised whenever a signature changes

// sum = residual + delta, output = norm(sum) * weight; see omni/kernels/add_norm.h. delta, sum
// and weight may be null (sum must be null where delta is).
struct OmniCudaAddNorm {
  const float* residual;
  const void* delta;
  const float* weight;
  float* sum;
  void* output;
  std::int64_t rows, width;
  float epsilon;
  std::int32_t centred;  // 1: layer norm, 0: root mean square
  OmniCudaType type;     // of delta and output
};

using OmniCudaInterfaceFunction = std::int32_t (*)();
using OmniCudaDeviceCountFunction = std::int32_t (*)();
using OmniCudaAddNormFunction = std::int32_t (*)(const OmniCudaAddNorm*, void* stream);

std::int32_t omni_cuda_interface();
std::int32_t omni_cuda_device_count();  // 0 where there is no driver
std::int32_t omni_cuda_add_norm(const OmniCudaAddNorm* arguments, void* stream);
}
