#pragma once

#include <cstdint>

// What every kernel includes, and the one place where a kernel compiled for the GPU and one compiled for the
// host (OMNI_HOST_SHIM, see tests/shim) differ.

#ifdef OMNI_HOST_SHIM
#include "shim/device.h"
#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstddef>

// The block's dynamic shared memory as `type* name`, at a multiple of 16. Kernels have no other shared
// memory: what they use is then as large as their launch says, and the shim can fence it.
#define OMNI_SHARED(type, name)                                        \
  extern __shared__ __align__(16) unsigned char omni_dynamic_shared[]; \
  type* const name = reinterpret_cast<type*>(omni_dynamic_shared)

namespace omni::cuda {

constexpr int kSuccess = cudaSuccess;

// Returns the error as a number and leaves none behind.
inline int take_error(cudaError_t error) {
  if (error != cudaSuccess) cudaGetLastError();
  return error;
}

template <class... Parameters, class... Arguments>
int launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, void* stream,
           const Arguments&... arguments) {
  constexpr std::size_t kAlwaysAllowed = 48 * 1024;
  if (shared_bytes > kAlwaysAllowed) {
    const cudaError_t allowed =
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes));
    if (allowed != cudaSuccess) return take_error(allowed);
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream);
  return take_error(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

// What a block of the current device may have at most; 0 where the device is older than sm_80.
inline int maximum_shared_bytes() {
  int device = 0, major = 0, bytes = 0;
  const bool known =
      cudaGetDevice(&device) == cudaSuccess &&
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
      cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) == cudaSuccess;
  if (!known) cudaGetLastError();
  return known && major >= 8 ? bytes : 0;
}

inline int fill_zero(void* memory, std::size_t bytes, void* stream) {
  return take_error(cudaMemsetAsync(memory, 0, bytes, static_cast<cudaStream_t>(stream)));
}

}  // namespace omni::cuda

#endif

namespace omni::cuda {
constexpr int kMaximumBlocksY = 65535;

// Blocks for so many pieces of work, of which each takes `each`.
inline unsigned blocks_over(std::int64_t pieces, std::int64_t each) {
  return static_cast<unsigned>((pieces + each - 1) / each);
}
}  // namespace omni::cuda

// OMNI_LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...) -> 0 or a cudaError_t as int. The
// kernel may be a template instance, commas and all.
#define OMNI_LAUNCH(...) ::omni::cuda::launch(__VA_ARGS__)
