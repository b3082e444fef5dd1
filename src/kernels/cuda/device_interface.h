#pragma once

#include <cstdint>

// What the plug-in says of a GPU.
extern "C" {

struct OmniCudaDevice {
  std::int32_t device;        // which one, from 0
  char name[256];             // as its driver calls it
  std::int32_t major, minor;  // compute capability: 8 and 0 for sm_80
};
using OmniCudaDeviceFunction = std::int32_t (*)(OmniCudaDevice* told);

std::int32_t omni_cuda_device(OmniCudaDevice* told);  // a cudaError_t
}
