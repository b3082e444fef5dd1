#include "plugin_interface.h"

#include <cuda_runtime.h>

extern "C" std::int32_t omni_cuda_interface() { return kOmniCudaInterface; }

extern "C" std::int32_t omni_cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}
