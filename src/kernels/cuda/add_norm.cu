#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "plugin.h"

namespace {

constexpr int kThreads = 256;  // one block of threads per row

__device__ float to_float(float x) { return x; }
__device__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ void assign(float& target, float x) { target = x; }
__device__ void assign(__nv_bfloat16& target, float x) { target = __float2bfloat16_rn(x); }

// The sum over the block, for every thread. `shared` holds one number per warp.
__device__ float block_sum(float x, float* shared) {
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
  __syncthreads();
  float total = 0;
  for (int warp = 0; warp < kThreads / 32; ++warp) total += shared[warp];
  return total;
}

// The row stays in registers between the passes while it fits; `sum` is read again beyond that.
template <class T>
__global__ void __launch_bounds__(kThreads) add_norm(OmniCudaAddNorm a) {
  __shared__ float shared[kThreads / 32];
  constexpr int kKept = 8;
  float kept[kKept];
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * a.width;
  const T* delta = static_cast<const T*>(a.delta);
  const auto value = [&](std::int64_t d) {
    return a.residual[row + d] + (delta ? to_float(delta[row + d]) : 0.0f);
  };

  float total = 0;
  int slot = 0;
  for (std::int64_t d = threadIdx.x; d < a.width; d += kThreads, ++slot) {
    const float x = value(d);
    if (slot < kKept) kept[slot] = x;
    if (a.sum) a.sum[row + d] = x;
    total += x;
  }
  const float width = static_cast<float>(a.width);
  const float mean = a.centred ? block_sum(total, shared) / width : 0.0f;
  float squares = 0;
  slot = 0;
  for (std::int64_t d = threadIdx.x; d < a.width; d += kThreads, ++slot) {
    const float x = (slot < kKept ? kept[slot] : value(d)) - mean;
    squares += x * x;
  }
  const float factor = rsqrtf(block_sum(squares, shared) / width + a.epsilon);
  T* output = static_cast<T*>(a.output);
  slot = 0;
  for (std::int64_t d = threadIdx.x; d < a.width; d += kThreads, ++slot) {
    const float x = ((slot < kKept ? kept[slot] : value(d)) - mean) * factor;
    assign(output[row + d], a.weight ? x * a.weight[d] : x);
  }
}

}  // namespace

extern "C" {

std::int32_t omni_cuda_interface() { return kOmniCudaInterface; }

std::int32_t omni_cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

std::int32_t omni_cuda_add_norm(const OmniCudaAddNorm* arguments, void* stream) {
  if (arguments->rows == 0) return cudaSuccess;
  const dim3 blocks(static_cast<unsigned>(arguments->rows));
  const auto queue = static_cast<cudaStream_t>(stream);
  if (arguments->type == kOmniCudaBfloat16) {
    add_norm<__nv_bfloat16><<<blocks, kThreads, 0, queue>>>(*arguments);
  } else {
    add_norm<float><<<blocks, kThreads, 0, queue>>>(*arguments);
  }
  return cudaGetLastError();
}
}
