// Small programs with known results, under every schedule.
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "device.h"
#include "ptx.h"
#include "shim/orders.h"

namespace omni::shim {
namespace {

// Each block adds its part of x by halving in shared memory, then atomically to the total.
void tree_sum(const int* x, int count, int* total) {
  OMNI_SHARED(int, part);
  const unsigned t = threadIdx.x;
  const int i = static_cast<int>(blockIdx.x * blockDim.x + t);
  part[t] = i < count ? x[i] : 0;
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) part[t] += part[t + half];
  }
  if (t == 0) atomicAdd(total, part[0]);
}

TEST(ShimPrograms, TreeSum) {
  std::vector<int> x(1000);
  std::iota(x.begin(), x.end(), -300);
  std::vector<int> total;
  const std::string different = for_every_order(
      [&] {
        std::vector<int> result(1);
        EXPECT_EQ(OMNI_LAUNCH(tree_sum, dim3(4), dim3(256), 1024, nullptr, x.data(), 1000, result.data()), 0);
        return result;
      },
      total);
  EXPECT_EQ(different, "");
  EXPECT_EQ(total[0], std::accumulate(x.begin(), x.end(), 0));
}

void indices(int* out) {
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = static_cast<int>(thread + 100 * block);
}

TEST(ShimPrograms, IndicesCountXFastest) {
  std::vector<int> out(24 * 30, -1);
  ASSERT_EQ(OMNI_LAUNCH(indices, dim3(2, 3, 5), dim3(4, 3, 2), 0, nullptr, out.data()), 0);
  for (int block = 0; block < 30; ++block)
    for (int thread = 0; thread < 24; ++thread) EXPECT_EQ(out[block * 24 + thread], thread + 100 * block);
}

// Lane i of every collective, in one row of 16 numbers.
void collectives(long long* out) {
  constexpr unsigned kAll = 0xffffffffu;
  const int lane = static_cast<int>(threadIdx.x);
  long long* row = out + lane * 16;
  row[0] = __shfl_sync(kAll, lane * 10, 5);
  row[1] = __shfl_sync(kAll, lane, lane + 3, 8);
  row[2] = __shfl_xor_sync(kAll, static_cast<long long>(lane) << 40, 7);
  row[3] = __shfl_up_sync(kAll, lane, 4u);
  row[4] = __shfl_down_sync(kAll, lane, 4u, 16);
  row[5] = __ballot_sync(kAll, lane % 3 == 0);
  row[6] = __any_sync(kAll, lane == 17);
  row[7] = __all_sync(kAll, lane < 31);
  row[8] = __reduce_add_sync(kAll, lane - 10);
  row[9] = __reduce_min_sync(kAll, lane - 10);
  row[10] = __reduce_max_sync(kAll, static_cast<unsigned>(lane * lane));
  row[11] = __reduce_xor_sync(kAll, static_cast<unsigned>(lane));
  row[12] = __match_any_sync(kAll, lane % 4);
  // Lanes of a branch among themselves.
  if (lane < 8) row[13] = __reduce_add_sync(0xffu, lane);
  if (lane >= 8) row[13] = __shfl_xor_sync(0xffffff00u, lane, 1);
  row[14] = __syncthreads_count(lane % 2);
  row[15] = __syncthreads_or(lane == 31) + 2 * __syncthreads_and(lane < 31);
}

TEST(ShimPrograms, Collectives) {
  std::vector<long long> out;
  const std::string different = for_every_order(
      [] {
        std::vector<long long> result(32 * 16);
        EXPECT_EQ(OMNI_LAUNCH(collectives, dim3(1), dim3(32), 0, nullptr, result.data()), 0);
        return result;
      },
      out);
  EXPECT_EQ(different, "");
  long long thirds = 0;
  for (int i = 0; i < 32; i += 3) thirds |= 1ll << i;
  for (int lane = 0; lane < 32; ++lane) {
    const long long* row = &out[lane * 16];
    const std::vector<long long> expected = {50,
                                             lane / 8 * 8 + (lane + 3) % 8,
                                             static_cast<long long>(lane ^ 7) << 40,
                                             lane < 4 ? lane : lane - 4,
                                             lane % 16 < 12 ? lane + 4 : lane,
                                             thirds,
                                             1,
                                             0,
                                             31 * 16 - 320,
                                             -10,
                                             31 * 31,
                                             0,
                                             0x11111111ll << lane % 4,
                                             lane < 8 ? 28 : lane ^ 1,
                                             16,
                                             1};
    EXPECT_EQ(std::vector<long long>(row, row + 16), expected) << "lane " << lane;
  }
}

// Two stages of copies: the sum of the groups in the order in which they land.
void pipelined_copy(const float4* x, float4* y, int count) {
  OMNI_SHARED(float4, buffer);
  const int t = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int tiles = count / threads;
  cuda::copy_async_16(&buffer[t], &x[t]);
  cuda::copy_async_commit();
  for (int tile = 0; tile < tiles; ++tile) {
    const int next = (tile + 1) % 2 * threads;
    cuda::copy_async_16(&buffer[next + t], &x[(tile + 1) * threads + t], tile + 1 < tiles);
    cuda::copy_async_commit();
    cuda::copy_async_wait<1>();
    __syncthreads();
    y[tile * threads + t] = buffer[tile % 2 * threads + (t + 1) % threads];
    __syncthreads();
  }
  cuda::copy_async_wait_all();
}

TEST(ShimPrograms, PipelinedCopy) {
  constexpr int kThreads = 64, kCount = 5 * kThreads;
  std::vector<float> x(4 * kCount), y;
  std::iota(x.begin(), x.end(), 0.0f);
  const std::string different = for_every_order(
      [&] {
        std::vector<float> result(4 * kCount);
        EXPECT_EQ(OMNI_LAUNCH(pipelined_copy, dim3(1), dim3(kThreads), 2 * kThreads * sizeof(float4), nullptr,
                              reinterpret_cast<const float4*>(x.data()),
                              reinterpret_cast<float4*>(result.data()), kCount),
                  0);
        return result;
      },
      y);
  EXPECT_EQ(different, "");
  for (int i = 0; i < kCount; ++i)
    EXPECT_EQ(y[4 * i], x[4 * (i / kThreads * kThreads + (i + 1) % kThreads)]) << i;
}

void nothing() {}

TEST(ShimPrograms, ImpossibleLaunchesAreRefused) {
  EXPECT_EQ(OMNI_LAUNCH(nothing, dim3(1), dim3(1025), 0, nullptr), 1);
  EXPECT_EQ(OMNI_LAUNCH(nothing, dim3(0), dim3(32), 0, nullptr), 1);
  EXPECT_EQ(OMNI_LAUNCH(nothing, dim3(1, 65536), dim3(32), 0, nullptr), 1);
  EXPECT_EQ(OMNI_LAUNCH(nothing, dim3(1), dim3(32), 228 * 1024, nullptr), 1);
  EXPECT_EQ(OMNI_LAUNCH(nothing, dim3(1), dim3(1024), 227 * 1024, nullptr), 0);
}

}  // namespace
}  // namespace omni::shim
