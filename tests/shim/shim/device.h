#pragma once

// The host's stand-in for cuda_runtime.h, cuda_bf16.h and cuda_fp16.h, for kernels compiled as ordinary C++.

#include <cstring>
#include <functional>

#include "shim/collectives.h"
#include "shim/half.h"
#include "shim/intrinsics.h"
#include "shim/machine.h"
#include "shim/types.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

#define threadIdx (::omni::shim::thread_index())
#define blockIdx (::omni::shim::block_index())
#define blockDim (::omni::shim::block_size())
#define gridDim (::omni::shim::grid_size())
constexpr int warpSize = 32;

#define OMNI_SHARED(type, name) type* const name = static_cast<type*>(::omni::shim::dynamic_shared())

namespace omni::cuda {

constexpr int kSuccess = 0;

template <class... Parameters, class... Arguments>
int launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, void* /*stream*/,
           const Arguments&... arguments) {
  return shim::run_grid(grid, block, shared_bytes, [&] { kernel(static_cast<Parameters>(arguments)...); });
}

inline int maximum_shared_bytes() { return shim::kMaximumSharedBytes; }

inline int fill_zero(void* memory, std::size_t bytes, void* /*stream*/) {
  std::memset(memory, 0, bytes);
  return kSuccess;
}

}  // namespace omni::cuda
