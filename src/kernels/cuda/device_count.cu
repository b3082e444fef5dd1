#include "plugin_interface.h"

#include <cuda_runtime.h>

#include <cstring>

#include "device_interface.h"

extern "C" std::int32_t omni_cuda_interface() { return kOmniCudaInterface; }

extern "C" std::int32_t omni_cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

extern "C" std::int32_t omni_cuda_device(OmniCudaDevice* told) {
  cudaDeviceProp properties;
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, told->device)) return error;
  std::strncpy(told->name, properties.name, sizeof told->name - 1);
  told->name[sizeof told->name - 1] = '\0';
  told->major = properties.major;
  told->minor = properties.minor;
  return cudaSuccess;
}
