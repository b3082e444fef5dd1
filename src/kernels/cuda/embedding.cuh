#pragma once

#include "embedding_interface.h"
#include "vector_rows.cuh"

namespace omni::cuda {

constexpr int kRowsThreads = 128;  // of a block that takes rows whole

// One block for each row.
template <int kCount>
__global__ void __launch_bounds__(kRowsThreads) gather(OmniCudaGather a) {
  const float* source = a.table + a.indices[blockIdx.x] * a.width;
  float* target = a.output + blockIdx.x * a.width;
  for (std::int64_t column = threadIdx.x * kCount; column < a.width; column += kRowsThreads * kCount) {
    float x[kCount];
    load_vector(source + column, x);
    store_vector(target + column, x);
  }
}

// Adds x to kCount elements at `target`.
template <int kCount>
__device__ __forceinline__ void add_to(float* target, const float (&x)[kCount]) {
  float sum[kCount];
  load_vector(target, sum);
#pragma unroll
  for (int k = 0; k < kCount; ++k) sum[k] += x[k];
  store_vector(target, sum);
}

// One block for each window of sorted rows. A run of equal ones that begins in the window goes to the gradient as far
// as the window has it; what the first ones have of a run from before waits in `partial`.
template <int kCount>
__global__ void __launch_bounds__(kRowsThreads) add_windows(OmniCudaAddRows a) {
  const std::int64_t begin = blockIdx.x * kOmniCudaRowWindow;
  const std::int64_t end = min(begin + kOmniCudaRowWindow, a.count);
  for (std::int64_t column = threadIdx.x * kCount; column < a.width; column += kRowsThreads * kCount) {
    for (std::int64_t i = begin; i < end;) {
      const std::int64_t row = a.sorted[i];
      const bool continued = i == begin && i > 0 && a.sorted[i - 1] == row;
      float sum[kCount] = {};
      for (; i < end && a.sorted[i] == row; ++i) {
        float x[kCount];
        load_vector(a.rows + a.order[i] * a.width + column, x);
#pragma unroll
        for (int k = 0; k < kCount; ++k) sum[k] += x[k];
      }
      if (continued)
        store_vector(a.partial + blockIdx.x * a.width + column, sum);
      else
        add_to(a.gradient + row * a.stride + column, sum);
    }
  }
}

// One block for each window: where a run begins in it and goes on after it, adds what the windows after it have.
template <int kCount>
__global__ void __launch_bounds__(kRowsThreads) add_continued(OmniCudaAddRows a) {
  const std::int64_t begin = blockIdx.x * kOmniCudaRowWindow, end = begin + kOmniCudaRowWindow;
  if (end >= a.count) return;
  const std::int64_t row = a.sorted[end - 1];
  const bool from_before = begin > 0 && a.sorted[begin - 1] == row;
  if (a.sorted[end] != row || from_before) return;
  for (std::int64_t column = threadIdx.x * kCount; column < a.width; column += kRowsThreads * kCount) {
    float sum[kCount] = {};
    for (std::int64_t next = end; next < a.count && a.sorted[next] == row; next += kOmniCudaRowWindow) {
      float x[kCount];
      load_vector(a.partial + next / kOmniCudaRowWindow * a.width + column, x);
#pragma unroll
      for (int k = 0; k < kCount; ++k) sum[k] += x[k];
    }
    add_to(a.gradient + row * a.stride + column, sum);
  }
}

constexpr int kCodeThreads = 128;    // columns of a block, one for each thread
constexpr int kCodeDimensions = 16;  // of a codebook, that are taken at a time
constexpr int kShareCodes = 32;      // that one block of code_shares takes
constexpr int kCodeSharedBytes = kShareCodes * kCodeDimensions * static_cast<int>(sizeof(float));

// Dimensions [first, first + kCodeDimensions) of kShareCodes codes from `begin` on, zeros where there are none.
__device__ __forceinline__ void load_codes(float* shared, const float* codebook, const std::int64_t* codes,
                                           std::int64_t begin, std::int64_t end, std::int64_t first,
                                           std::int64_t dimension) {
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kShareCodes * kCodeDimensions; i += kCodeThreads) {
    const std::int64_t number = begin + i / kCodeDimensions, place = first + i % kCodeDimensions;
    const std::int64_t code = number < end ? codes[number] : -1;
    shared[i] = code >= 0 && place < dimension ? codebook[code * dimension + place] : 0.0f;
  }
  __syncthreads();
}

// Grid: tiles of columns, kShareCodes codes each. A thread keeps its column's row of the projection.
template <class T>
__global__ void __launch_bounds__(kCodeThreads) code_shares(T a) {
  OMNI_SHARED(float, shared);
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kCodeThreads + threadIdx.x;
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.y) * kShareCodes;
  const std::int64_t end = min(begin + kShareCodes, a.count);
  for (std::int64_t first = 0; first < a.dimension; first += kCodeDimensions) {
    load_codes(shared, a.codebook, a.codes, begin, end, first, a.dimension);
    if (column >= a.width) continue;
    float own[kCodeDimensions];
#pragma unroll
    for (int d = 0; d < kCodeDimensions; ++d)
      own[d] = first + d < a.dimension ? a.projection[column * a.dimension + first + d] : 0.0f;
    for (std::int64_t i = begin; i < end; ++i) {
      if (a.codes[i] < 0) continue;  // whose place other blocks may have, too
      float sum = 0;
#pragma unroll
      for (int d = 0; d < kCodeDimensions; ++d) sum += own[d] * shared[(i - begin) * kCodeDimensions + d];
      a.output[a.positions[i] * a.width + column] += sum;
    }
  }
}

// Grid: tiles of columns, tiles of dimensions, windows of codes.
template <class T>
__global__ void __launch_bounds__(kCodeThreads) code_gradient(T a) {
  OMNI_SHARED(float, shared);
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kCodeThreads + threadIdx.x;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.y) * kCodeDimensions;
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.z) * kOmniCudaCodeWindow;
  const std::int64_t end = min(begin + kOmniCudaCodeWindow, a.count);
  float sums[kCodeDimensions] = {};
  for (std::int64_t some = begin; some < end; some += kShareCodes) {
    load_codes(shared, a.codebook, a.codes, some, end, first, a.dimension);
    if (column >= a.width) continue;
    for (std::int64_t i = some; i < min(some + kShareCodes, end); ++i) {
      const float x = a.rows[a.positions[i] * a.width + column];
#pragma unroll
      for (int d = 0; d < kCodeDimensions; ++d) sums[d] += x * shared[(i - some) * kCodeDimensions + d];
    }
  }
  if (column >= a.width) return;
  float* target = a.partial + (blockIdx.z * a.width + column) * a.dimension + first;
#pragma unroll
  for (int d = 0; d < kCodeDimensions; ++d)
    if (first + d < a.dimension) target[d] = sums[d];
}

}  // namespace omni::cuda
