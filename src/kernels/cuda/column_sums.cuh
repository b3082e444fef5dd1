#pragma once

#include <cstdint>

#include "numeric.cuh"

namespace omni::cuda {

// Sums over the rows of a table in an order that follows from its shape alone: what blocks have gathered each for itself
// becomes one gradient, with the same bits in every run.
constexpr int kSumRows = 8;  // rows that one block reads at a time, each by a warp of columns
constexpr int kSumThreads = kSumRows * kWarp;
constexpr int kSumSharedBytes = kSumThreads * static_cast<int>(sizeof(float));

// table [rows, columns] -> sums [columns]
template <class T>
__global__ void __launch_bounds__(kSumThreads)
    column_sums(const T* table, T* sums, std::int64_t rows, std::int64_t columns) {
  OMNI_SHARED(T, shared);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, own = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kWarp + lane;
  T sum = 0;
  if (column < columns)
    for (std::int64_t row = own; row < rows; row += kSumRows) sum += table[row * columns + column];
  shared[threadIdx.x] = sum;
  __syncthreads();
  if (own != 0 || column >= columns) return;
  for (int row = 1; row < kSumRows; ++row) sum += shared[row * kWarp + lane];
  sums[column] = sum;
}

inline int launch_column_sums(const float* table, float* sums, std::int64_t rows, std::int64_t columns,
                              void* stream) {
  if (columns == 0) return kSuccess;
  return OMNI_LAUNCH(column_sums<float>, dim3(blocks_over(columns, kWarp)), dim3(kSumThreads),
                     kSumSharedBytes, stream, table, sums, rows, columns);
}

}  // namespace omni::cuda
