#pragma once

#include <cstdint>

#include "omni/kernels/row_range.h"

namespace omni::kernels {

inline constexpr std::int64_t kLinearPanel = 32;    // columns of a product that lie together
inline constexpr std::int64_t kLinearColumns = 16;  // of which each matrix here has a multiple

// A bf16 matrix as 16 bits, its rows `stride` elements apart.
struct Bf16Matrix {
  const std::uint16_t* data = nullptr;
  std::int64_t rows = 0, columns = 0, stride = 0;

  std::int64_t panels() const { return (columns + kLinearPanel - 1) / kLinearPanel; }
};

// Products of bf16 matrices with many rows, summed in fp32. Panels are [panels, depth / 2, kLinearPanel] lanes of 32
// bits, each two elements that follow each other along the dimension that is summed over.
struct LinearKernels {
  // matrix [depth, columns], depth up to an even number filled with zeros -> its panels of the given range of rows, which
  // starts at an even one.
  void (*lay_rows)(const Bf16Matrix& matrix, const RowRange& rows, const RowRange& panels, float* out);
  // matrix [columns, depth], contiguous -> panels of its transpose.
  void (*lay_transposed)(const Bf16Matrix& matrix, const RowRange& panels, float* out);
  // The given rows of left [rows, depth], depth even, times panels of `columns` columns -> out [rows, columns] bf16.
  void (*multiply)(const Bf16Matrix& left, const RowRange& rows, const float* panels, std::int64_t columns,
                   std::uint16_t* out);
  // sums [left columns, right columns] fp32, `stride` apart, = or += left^T right of panels with `lanes` lanes each.
  void (*multiply_panels)(const float* left, std::int64_t left_columns, const float* right,
                          std::int64_t right_columns, std::int64_t lanes, float* sums, std::int64_t stride,
                          bool accumulate);
};

// Null where the processor has no products of bf16 pairs, and where it has tiles of them (AMX), by which the library is
// several times as fast.
const LinearKernels* linear_kernels();

}  // namespace omni::kernels
