// Hopper's barriers, bulk copies and warp-group products: what they compute, and wrong uses, each of which must be seen.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "device.h"
#include "hopper_ptx.h"
#include "launch_error.h"
#include "shim/orders.h"
#include "shim/sanitizer.h"

namespace omni::shim {
namespace {

using cuda::PanelTile;
using cuda::SharedBarrier;
using cuda::TensorMap;
using Bits = std::vector<std::uint16_t>;

// Small whole numbers, whose sums are exact.
Bits whole_numbers(int count, int seed) {
  Bits bits(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i)
    bits[static_cast<std::size_t>(i)] =
        bfloat16_bits(static_cast<float>((i * 7 + seed * 13 + i / 64) % 5 - 2));
  return bits;
}
float at(const Bits& bits, int row, int column) {
  return bfloat16_value(bits[static_cast<std::size_t>(row * 64 + column)]);
}

constexpr int kThreads = 128, kSize = 64;
using Tile = PanelTile<kSize, kSize>;
constexpr int kSharedBytes = cuda::kSwizzleAtomBytes + 2 * Tile::kBytes + 64;

// The first whole swizzle atom.
unsigned first_atom(const void* shared) {
  return (cuda::shared_window(shared) + cuda::kSwizzleAtomBytes - 1) / cuda::kSwizzleAtomBytes *
         cuda::kSwizzleAtomBytes;
}
SharedBarrier& barrier_behind(unsigned char* shared) {
  return *reinterpret_cast<SharedBarrier*>(shared + kSharedBytes - 64);
}

// Two matrices of 64 x 64, the second one transposed or not: left right^T, then (left right^T) right.
void products(TensorMap left_map, TensorMap right_map, float* by_columns, float* by_rows) {
  OMNI_SHARED(unsigned char, shared);
  const Tile left{first_atom(shared)}, right{left.address + Tile::kBytes};
  SharedBarrier& barrier = barrier_behind(shared);
  if (threadIdx.x == 0) barrier.initialise(1);
  __syncthreads();
  if (threadIdx.x == 0) {
    barrier.arrive_expecting(2 * Tile::kBytes);
    cuda::copy_box(left.address, left_map, barrier, 0, 0, 0);
    cuda::copy_box(right.address, right_map, barrier, 0, 0, 0);
  }
  barrier.wait(0);
  float sums[8][4], again[8][4] = {};
  cuda::begin_products(sums);
  for (int step = 0; step < 4; ++step)
    cuda::multiply_columns(sums, left.columns(0, step), right.columns(0, step), step > 0);
  cuda::commit_products();
  cuda::wait_products<0>(sums);
  unsigned factor[4][4];
  for (int step = 0; step < 4; ++step)
    for (int i = 0; i < 4; ++i) {
      const float(&from)[4] = sums[2 * step + i / 2];
      factor[step][i] =
          bfloat16_bits(from[i % 2 * 2]) | static_cast<unsigned>(bfloat16_bits(from[i % 2 * 2 + 1])) << 16;
    }
  cuda::begin_products(again, factor);
  for (int step = 0; step < 4; ++step) cuda::multiply_rows_of(again, factor[step], right.rows(step));
  cuda::commit_products();
  cuda::wait_products<0>(again);
  const int row = static_cast<int>(threadIdx.x) / 32 * 16 + static_cast<int>(threadIdx.x) % 32 / 4;
  for (int n = 0; n < 8; ++n)
    for (int i = 0; i < 4; ++i) {
      const int place = (row + i / 2 * 8) * kSize + 8 * n + static_cast<int>(threadIdx.x) % 4 * 2 + i % 2;
      by_columns[place] = sums[n][i];
      by_rows[place] = again[n][i];
    }
}

TEST(ShimWarpGroup, ProductsAreThoseOfTheTextbook) {
  const Bits left = whole_numbers(kSize * kSize, 1), right = whole_numbers(kSize * kSize, 2);
  const auto map = [](const Bits& bits) { return TensorMap{bits.data(), kSize, 0, kSize, 1, kSize, kSize}; };
  std::vector<float> computed;
  const std::string different = for_every_order(
      [&] {
        std::vector<float> sums(2 * kSize * kSize);
        EXPECT_EQ(OMNI_LAUNCH(products, dim3(1), dim3(kThreads), kSharedBytes, nullptr, map(left), map(right),
                              sums.data(), sums.data() + kSize * kSize),
                  0);
        return sums;
      },
      computed);
  EXPECT_EQ(different, "");
  std::vector<float> by_columns(kSize * kSize), by_rows(kSize * kSize);
  for (int i = 0; i < kSize; ++i)
    for (int j = 0; j < kSize; ++j)
      for (int k = 0; k < kSize; ++k)
        by_columns[static_cast<std::size_t>(i * kSize + j)] += at(left, i, k) * at(right, j, k);
  for (int i = 0; i < kSize; ++i)
    for (int j = 0; j < kSize; ++j)
      for (int k = 0; k < kSize; ++k)
        by_rows[static_cast<std::size_t>(i * kSize + j)] +=
            bfloat16_value(bfloat16_bits(by_columns[static_cast<std::size_t>(i * kSize + k)])) *
            at(right, k, j);
  by_columns.insert(by_columns.end(), by_rows.begin(), by_rows.end());
  EXPECT_EQ(computed, by_columns);
}

// A box that reaches beyond [40, 2, 48], of the second head: zeros there.
void copy_at_the_edge(TensorMap map, std::uint16_t* copied) {
  OMNI_SHARED(unsigned char, shared);
  const Tile tile{first_atom(shared)};
  SharedBarrier& barrier = barrier_behind(shared);
  if (threadIdx.x == 0) {
    barrier.initialise(1);
    barrier.arrive_expecting(Tile::kBytes);
    cuda::copy_box(tile.address, map, barrier, 0, 1, 10);
  }
  __syncthreads();
  barrier.wait(0);
  for (int row = static_cast<int>(threadIdx.x); row < kSize; row += kThreads)
    for (int column = 0; column < kSize; ++column)
      copied[row * kSize + column] = *reinterpret_cast<const std::uint16_t*>(
          shared_place(tile.at(row, column), 2, {__builtin_FILE(), __builtin_LINE()}));
}

TEST(ShimWarpGroup, CopiesFillWithZerosOutsideOfTheTensor) {
  constexpr int kRows = 40, kHeads = 2, kColumns = 48;
  const Bits tensor = whole_numbers(kRows * kHeads * kColumns, 3);
  Bits copied(kSize * kSize, 0x7fff);
  const TensorMap map{tensor.data(), kHeads * kColumns, kColumns, kRows, kHeads, kColumns, kSize};
  ASSERT_EQ(OMNI_LAUNCH(copy_at_the_edge, dim3(1), dim3(kThreads), kSharedBytes, nullptr, map, copied.data()),
            0);
  for (int row = 0; row < kSize; ++row)
    for (int column = 0; column < kSize; ++column) {
      const bool inside = 10 + row < kRows && column < kColumns;
      EXPECT_EQ(copied[static_cast<std::size_t>(row * kSize + column)],
                inside ? tensor[static_cast<std::size_t>(((10 + row) * kHeads + 1) * kColumns + column)] : 0);
    }
}

template <class Kernel>
std::string error_of(Kernel kernel) {
  return launch_error([&] { OMNI_LAUNCH(kernel, dim3(1), dim3(kThreads), kSharedBytes, nullptr); });
}

const Bits& some_numbers() {
  static const Bits bits = whole_numbers(kSize * kSize, 4);
  return bits;
}
TensorMap some_map() { return {some_numbers().data(), kSize, 0, kSize, 1, kSize, kSize}; }

SharedBarrier& ready_barrier(unsigned char* shared, unsigned arrivals) {
  SharedBarrier& barrier = barrier_behind(shared);
  if (threadIdx.x == 0) barrier.initialise(arrivals);
  __syncthreads();
  return barrier;
}

void wait_for_nobody() {
  OMNI_SHARED(unsigned char, shared);
  ready_barrier(shared, 2).wait(0);
}
void wait_for_more_bytes() {
  OMNI_SHARED(unsigned char, shared);
  SharedBarrier& barrier = ready_barrier(shared, 1);
  if (threadIdx.x == 0) {
    barrier.arrive_expecting(Tile::kBytes + 16);
    cuda::copy_box(first_atom(shared), some_map(), barrier, 0, 0, 0);
  }
  barrier.wait(0);
}
void arrive_too_often() {
  OMNI_SHARED(unsigned char, shared);
  SharedBarrier& barrier = ready_barrier(shared, 1);
  if (threadIdx.x == 0) {
    barrier.arrive_expecting(16);
    barrier.arrive();
  }
}
void use_an_unmade_barrier() {
  OMNI_SHARED(unsigned char, shared);
  barrier_behind(shared).wait(0);
}
void leave_a_copy() {
  OMNI_SHARED(unsigned char, shared);
  SharedBarrier& barrier = ready_barrier(shared, 1);
  if (threadIdx.x > 0) return;
  barrier.arrive_expecting(Tile::kBytes);
  cuda::copy_box(first_atom(shared), some_map(), barrier, 0, 0, 0);
}
void copy_to_half_an_atom() {
  OMNI_SHARED(unsigned char, shared);
  SharedBarrier& barrier = ready_barrier(shared, 1);
  if (threadIdx.x == 0) cuda::copy_box(first_atom(shared) + 512, some_map(), barrier, 0, 0, 0);
}
void copy_out_of_the_block() {
  OMNI_SHARED(unsigned char, shared);
  SharedBarrier& barrier = ready_barrier(shared, 1);
  if (threadIdx.x == 0) cuda::copy_box(first_atom(shared) + 2 * Tile::kBytes, some_map(), barrier, 0, 0, 0);
}
void leave_a_product() {
  OMNI_SHARED(unsigned char, shared);
  const Tile tile{first_atom(shared)};
  float sums[8][4];
  cuda::begin_products(sums);
  cuda::multiply_columns(sums, tile.columns(0, 0), tile.columns(0, 0), false);
  cuda::commit_products();
}
void change_a_left_factor() {
  OMNI_SHARED(unsigned char, shared);
  const Tile tile{first_atom(shared)};
  float sums[8][4] = {};
  unsigned left[4] = {};
  cuda::begin_products(sums, left);
  cuda::multiply_rows_of(sums, left, tile.rows(0));
  cuda::commit_products();
  if (threadIdx.x == 77) left[2] = 1;
  cuda::wait_products<0>(sums, left);
}
void forget_to_begin_with_sums() {
  OMNI_SHARED(unsigned char, shared);
  const Tile tile{first_atom(shared)};
  float sums[8][4] = {};
  cuda::begin_products(sums);
  cuda::multiply_columns(sums, tile.columns(0, 0), tile.columns(0, 0), false);
  cuda::commit_products();
  cuda::wait_products<0>(sums);
  cuda::multiply_columns(sums, tile.columns(0, 0), tile.columns(0, 0), true);
}
void forget_to_begin_with_a_left_factor() {
  OMNI_SHARED(unsigned char, shared);
  const Tile tile{first_atom(shared)};
  float sums[8][4] = {};
  const unsigned left[4] = {};
  cuda::begin_products(sums);
  cuda::multiply_rows_of(sums, left, tile.rows(0));
}
void part_in_a_group() {
  OMNI_SHARED(unsigned char, shared);
  const Tile tile{first_atom(shared)};
  float sums[8][4];
  cuda::begin_products(sums);
  cuda::multiply_columns(sums, tile.columns(0, threadIdx.x / 32 == 2), tile.columns(0, 0), false);
  cuda::commit_products();
  cuda::wait_products<0>(sums);
}
void leave_a_warp_out() {
  OMNI_SHARED(unsigned char, shared);
  const Tile tile{first_atom(shared)};
  if (threadIdx.x / 32 == 2) return;
  float sums[8][4];
  cuda::begin_products(sums);
  cuda::multiply_columns(sums, tile.columns(0, 0), tile.columns(0, 0), false);
  cuda::commit_products();
  cuda::wait_products<0>(sums);
}

TEST(ShimWarpGroup, MistakesAreSeen) {
  const auto complains = [](const std::string& error, const char* part) {
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  complains(error_of(wait_for_nobody), "deadlock");
  complains(error_of(wait_for_more_bytes), "deadlock");
  complains(error_of(arrive_too_often), "once too often");
  // MemorySanitizer ends the program there: the memory of such a barrier was never written.
  if (!kMemorySanitizer) complains(error_of(use_an_unmade_barrier), "nobody made");
  complains(error_of(leave_a_copy), "1 bulk copies in flight");
  complains(error_of(copy_to_half_an_atom), "no whole swizzle atom");
  complains(error_of(copy_out_of_the_block), "outside of what it has");
  complains(error_of(leave_a_product), "1 products of a warp group in flight");
  complains(error_of(change_a_left_factor), "changed while it was in flight");
  complains(error_of(forget_to_begin_with_sums), "without begin_products");
  complains(error_of(forget_to_begin_with_a_left_factor), "without begin_products");
  complains(error_of(part_in_a_group), "the warps of a warp group wait for different products");
  complains(error_of(leave_a_warp_out), "wait for products 1 and 0 times");
}

// Before a wait, what a copy or a product will write is not there yet.
void read_early(int* early) {
  OMNI_SHARED(unsigned char, shared);
  const Tile tile{first_atom(shared)};
  SharedBarrier& barrier = ready_barrier(shared, 1);
  if (threadIdx.x == 0) {
    barrier.arrive_expecting(Tile::kBytes);
    cuda::copy_box(tile.address, some_map(), barrier, 0, 0, 0);
    const auto* number = reinterpret_cast<const std::uint16_t*>(
        shared_place(tile.at(0, 0), 2, {__builtin_FILE(), __builtin_LINE()}));
    early[0] = std::isnan(bfloat16_value(*number));
  }
  barrier.wait(0);
  float sums[8][4];
  cuda::begin_products(sums);
  cuda::multiply_columns(sums, tile.columns(0, 0), tile.columns(0, 0), false);
  cuda::commit_products();
  if (threadIdx.x == 0) early[1] = std::isnan(sums[0][0]);
  cuda::wait_products<0>(sums);
  if (threadIdx.x == 0) early[2] = std::isnan(sums[0][0]);
}

TEST(ShimWarpGroup, ResultsComeWithTheWait) {
  std::vector<int> early(3, -1);
  ASSERT_EQ(OMNI_LAUNCH(read_early, dim3(1), dim3(kThreads), kSharedBytes, nullptr, early.data()), 0);
  EXPECT_EQ(early, (std::vector<int>{1, 1, 0}));
}

}  // namespace
}  // namespace omni::shim
