#pragma once

#include <cstdint>

#include "numeric.cuh"
#include "ptx.h"

namespace omni::cuda {

// A matrix of 16-bit numbers in shared memory. Rows are 16 bytes longer than their numbers, so that the eight
// rows that ldmatrix reads at once lie in different banks (for any multiple of 16 columns), and every offset
// is a constant.
template <class T, int kRowCount, int kColumnCount>
struct SharedTile {
  static constexpr int kRows = kRowCount;
  static constexpr int kColumns = kColumnCount;
  static constexpr int kStride = kColumnCount + 8;
  static constexpr int kBytes = kRows * kStride * 2;

  T* data;

  __device__ __forceinline__ T* at(int row, int column) const { return data + row * kStride + column; }
};

// Rows of a tensor: `row_stride` in elements; rows from `row_count` on and columns from `column_count` on
// read as zero. Columns come in eights, aligned to 16 bytes.
template <class T>
struct GlobalRows {
  const T* data;
  std::int64_t row_stride;
  int row_count, column_count;
};

// Starts the copies of one tile by all threads of the block; whoever calls commits and waits.
template <int kThreads, class T, int kRows, int kColumns>
__device__ __forceinline__ void copy_tile_async(const SharedTile<T, kRows, kColumns>& tile,
                                                const GlobalRows<T>& rows) {
  constexpr int kChunks = kColumns / 8;
  static_assert(kRows * kChunks % kThreads == 0, "every thread copies as many chunks");
  const int thread = static_cast<int>(threadIdx.x);
  if constexpr (kThreads % kChunks == 0) {
    // Each thread stays in its column: one address, moved on by whole rows.
    constexpr int kStep = kThreads / kChunks;
    const int first = thread / kChunks, column = thread % kChunks * 8;
    const bool inside = column < rows.column_count;
    const T* source = rows.data + first * rows.row_stride + column;
#pragma unroll
    for (int i = 0; i < kRows / kStep; ++i, source += kStep * rows.row_stride) {
      const int row = first + i * kStep;
      const bool valid = inside && row < rows.row_count;
      copy_async_16(tile.at(row, column), valid ? source : rows.data, valid);
    }
  } else {
#pragma unroll
    for (int i = 0; i < kRows * kChunks / kThreads; ++i) {
      const int number = i * kThreads + thread;
      const int row = number / kChunks, column = number % kChunks * 8;
      const bool valid = row < rows.row_count && column < rows.column_count;
      copy_async_16(tile.at(row, column), valid ? rows.data + row * rows.row_stride + column : rows.data,
                    valid);
    }
  }
}

// The fragments of mma.m16n8k16, each by one ldmatrix of the four 8 x 8 pieces of a 16 x 16 square, in the
// order in which mma wants its registers: they must be neighbours, and any other order costs moves. "lane" is
// the thread's number in its warp.

// Lanes 0 to 7 address the upper left piece, the next ones the upper right, the lower left, the lower right.
template <class Tile>
__device__ __forceinline__ auto* row_by_row(const Tile& tile, int row, int column, int lane) {
  return tile.at(lane % 8 + lane / 16 * 8, lane / 8 % 2 * 8) + row * Tile::kStride + column;
}
// Upper left, lower left, upper right, lower right.
template <class Tile>
__device__ __forceinline__ auto* column_by_column(const Tile& tile, int row, int column, int lane) {
  return tile.at(lane % 16, lane / 16 * 8) + row * Tile::kStride + column;
}

// A[i][k] = tile[row + i][column + k], 16 x 16.
template <class Tile>
__device__ __forceinline__ void load_left(unsigned (&a)[4], const Tile& tile, int row, int column, int lane) {
  load_matrix_x4(a, column_by_column(tile, row, column, lane));
}
// A[i][k] = tile[row + k][column + i].
template <class Tile>
__device__ __forceinline__ void load_left_transposed(unsigned (&a)[4], const Tile& tile, int row, int column,
                                                     int lane) {
  load_matrix_x4_transposed(a, row_by_row(tile, row, column, lane));
}
// Two neighbouring B, each 16 x 8: B_j[k][n] = tile[row + 8 j + n][column + k].
template <class Tile>
__device__ __forceinline__ void load_right_from_rows(unsigned (&b)[2][2], const Tile& tile, int row,
                                                     int column, int lane) {
  unsigned r[4];
  load_matrix_x4(r, row_by_row(tile, row, column, lane));
  b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}
// Two neighbouring B: B_j[k][n] = tile[row + k][column + 8 j + n].
template <class Tile>
__device__ __forceinline__ void load_right_from_columns(unsigned (&b)[2][2], const Tile& tile, int row,
                                                        int column, int lane) {
  unsigned r[4];
  load_matrix_x4_transposed(r, column_by_column(tile, row, column, lane));
  b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}

// sums[m][n] += left[16 m + row ..] (right[8 n ..])^T over all columns of both tiles: 16 x 8 pieces of a
// product of rows with rows, from `left_row` and row 0 of `right` on.
template <class T, int kUnroll, int kLeftTiles, int kRightTiles, class Left, class Right>
__device__ __forceinline__ void multiply_rows(float (&sums)[kLeftTiles][kRightTiles][4], const Left& left,
                                              int left_row, const Right& right, int lane) {
  static_assert(Left::kColumns == Right::kColumns && kRightTiles % 2 == 0, "");
#pragma unroll kUnroll
  for (int k = 0; k < Left::kColumns; k += 16) {
    unsigned a[kLeftTiles][4];
#pragma unroll
    for (int m = 0; m < kLeftTiles; ++m) load_left(a[m], left, left_row + 16 * m, k, lane);
#pragma unroll
    for (int n = 0; n < kRightTiles; n += 2) {
      unsigned b[2][2];
      load_right_from_rows(b, right, 8 * n, k, lane);
#pragma unroll
      for (int m = 0; m < kLeftTiles; ++m) {
        multiply_accumulate<T>(sums[m][n], a[m], b[0]);
        multiply_accumulate<T>(sums[m][n + 1], a[m], b[1]);
      }
    }
  }
}

// sums[m] += weights[m] right: the accumulators of one product are the left factor of the next, rounded to T.
// weights[m] covers 16 rows and 8 kInnerTiles columns, one for each row of `right`.
template <class T, int kLeftTiles, int kInnerTiles, int kRightTiles, class Right>
__device__ __forceinline__ void multiply_accumulators(float (&sums)[kLeftTiles][kRightTiles][4],
                                                      const float (&weights)[kLeftTiles][kInnerTiles][4],
                                                      const Right& right, int lane) {
  static_assert(kInnerTiles % 2 == 0 && kRightTiles % 2 == 0, "");
#pragma unroll
  for (int k = 0; k < kInnerTiles; k += 2) {
    // Keeps ptxas from loading the fragments of later steps early, for which there are no registers.
    __syncwarp();
    unsigned a[kLeftTiles][4];
#pragma unroll
    for (int m = 0; m < kLeftTiles; ++m) {
      const float(&left)[4] = weights[m][k], (&next)[4] = weights[m][k + 1];
      a[m][0] = pack<T>(left[0], left[1]);
      a[m][1] = pack<T>(left[2], left[3]);
      a[m][2] = pack<T>(next[0], next[1]);
      a[m][3] = pack<T>(next[2], next[3]);
    }
#pragma unroll
    for (int n = 0; n < kRightTiles; n += 2) {
      unsigned b[2][2];
      load_right_from_columns(b, right, 8 * k, 8 * n, lane);
#pragma unroll
      for (int m = 0; m < kLeftTiles; ++m) {
        multiply_accumulate<T>(sums[m][n], a[m], b[0]);
        multiply_accumulate<T>(sums[m][n + 1], a[m], b[1]);
      }
    }
  }
}

template <int kTiles>
__device__ __forceinline__ void clear(float (&sums)[kTiles][4]) {
#pragma unroll
  for (int n = 0; n < kTiles; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[n][i] = 0;
}
template <int kLeftTiles, int kTiles>
__device__ __forceinline__ void clear(float (&sums)[kLeftTiles][kTiles][4]) {
#pragma unroll
  for (int m = 0; m < kLeftTiles; ++m) clear(sums[m]);
}

// Where a warp writes 16 rows: `row_count` and `column_count` as in GlobalRows.
template <class T>
struct TargetRows {
  T* data;
  std::int64_t row_stride;
  int row_count, column_count;
};

// Writes accumulators times factor[row / 8] (rows lane / 4 and lane / 4 + 8) as T, in whole 16-byte pieces:
// they go through rows `row` to `row` + 15 of `tile`, which only this warp may use.
template <class T, int kTiles, class Tile>
__device__ __forceinline__ void store_rows(const TargetRows<T>& target, const float (&sums)[kTiles][4],
                                           const float (&factor)[2], const Tile& tile, int row, int lane) {
  __syncwarp();
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const unsigned bits = pack<T>(sums[n][2 * half] * factor[half], sums[n][2 * half + 1] * factor[half]);
      *reinterpret_cast<unsigned*>(tile.at(row + lane / 4 + 8 * half, 8 * n + lane % 4 * 2)) = bits;
    }
  }
  __syncwarp();
#pragma unroll
  for (int i = 0; i < 16 * kTiles / kWarp; ++i) {
    const int number = i * kWarp + lane, r = number / kTiles, column = number % kTiles * 8;
    if (r < target.row_count && column < target.column_count)
      *reinterpret_cast<uint4*>(target.data + r * target.row_stride + column) =
          *reinterpret_cast<const uint4*>(tile.at(row + r, column));
  }
}

}  // namespace omni::cuda
