// Wrong programs: each mistake must be seen.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "device.h"
#include "launch_error.h"
#include "ptx.h"
#include "shim/orders.h"
#include "shim/sanitizer.h"

namespace omni::shim {
namespace {

constexpr int kThreads = 96;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

template <class Kernel>
std::string error_of(Kernel kernel, std::size_t shared_bytes = kThreads * 16) {
  std::vector<int> out(kThreads + 1);
  return launch_error(
      [&] { OMNI_LAUNCH(kernel, dim3(2), dim3(kThreads), shared_bytes, nullptr, out.data()); });
}

template <class Kernel>
std::string differing_orders(Kernel kernel) {
  std::vector<int> first;
  return for_every_order(
      [&] {
        std::vector<int> out(kThreads + 1);
        OMNI_LAUNCH(kernel, dim3(2), dim3(kThreads), kThreads * 16, nullptr, out.data());
        return out;
      },
      first);
}

void race_between_warps(int* out) { out[0] = static_cast<int>(threadIdx.x / 32); }
void race_between_lanes(int* out) {
  __syncwarp();
  if (threadIdx.x / 32 == 1) out[0] = static_cast<int>(threadIdx.x);
}
void race_between_blocks(int* out) { out[0] = static_cast<int>(blockIdx.x); }

TEST(ShimMistakes, RacesChangeTheResult) {
  EXPECT_NE(differing_orders(race_between_warps), "");
  EXPECT_NE(differing_orders(race_between_lanes), "");
  EXPECT_NE(differing_orders(race_between_blocks), "");
}

void missing_barrier(int* out) {
  OMNI_SHARED(int, shared);
  shared[threadIdx.x] = static_cast<int>(threadIdx.x);
  out[threadIdx.x] = shared[(threadIdx.x + 40) % kThreads];
}
void missing_second_barrier(int* out) {
  OMNI_SHARED(int, shared);
  int total = 0;
  for (int round = 0; round < 3; ++round) {
    shared[threadIdx.x] = static_cast<int>(threadIdx.x) + round;
    __syncthreads();
    total += shared[(threadIdx.x + 40) % kThreads];
  }
  out[threadIdx.x] = total;
}
void missing_warp_barrier(int* out) {
  OMNI_SHARED(int, shared);
  shared[threadIdx.x] = static_cast<int>(threadIdx.x);
  out[threadIdx.x] = shared[threadIdx.x ^ 1u];
}
void unwritten(int* out) {
  OMNI_SHARED(int, shared);
  out[threadIdx.x] = shared[threadIdx.x];
}

// MemorySanitizer stops at the first use of what nobody wrote; else it shows in the result.
template <class Kernel>
void expect_unwritten_read(Kernel kernel) {
  if (kMemorySanitizer) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(differing_orders(kernel), "MemorySanitizer: use-of-uninitialized-value");
  } else {
    EXPECT_NE(differing_orders(kernel), "");
  }
}

TEST(ShimMistakes, MissingBarriersChangeTheResult) {
  expect_unwritten_read(missing_barrier);
  EXPECT_NE(differing_orders(missing_second_barrier), "");
  expect_unwritten_read(missing_warp_barrier);
}

TEST(ShimMistakes, UnwrittenSharedMemoryChangesTheResult) { expect_unwritten_read(unwritten); }

__device__ int source_of_copies[kThreads * 4];

template <int kPending>
void copy_and_wait(int* out) {
  OMNI_SHARED(int, shared);
  for (int group = 0; group < 2; ++group) {
    const unsigned i = group * kThreads + threadIdx.x;
    cuda::copy_async_4(&shared[i], &source_of_copies[i]);
    cuda::copy_async_commit();
  }
  cuda::copy_async_wait<kPending>();
  out[threadIdx.x] = shared[kThreads + threadIdx.x];
  cuda::copy_async_wait_all();
}
void copy_without_commit(int* out) {
  OMNI_SHARED(int, shared);
  cuda::copy_async_4(&shared[threadIdx.x], &source_of_copies[threadIdx.x]);
  cuda::copy_async_wait<0>();
  out[threadIdx.x] = shared[threadIdx.x];
  cuda::copy_async_wait_all();
}
void copy_in_flight(int*) {
  OMNI_SHARED(int, shared);
  cuda::copy_async_4(&shared[threadIdx.x], &source_of_copies[threadIdx.x]);
}

template <class Kernel>
std::vector<int> result_of(Kernel kernel) {
  std::vector<int> out(kThreads);
  OMNI_LAUNCH(kernel, dim3(1), dim3(kThreads), kThreads * 16, nullptr, out.data());
  return out;
}

TEST(ShimMistakes, AMissingWaitReadsNaN) {
  for (int i = 0; i < kThreads * 4; ++i) source_of_copies[i] = i;
  const std::vector<int> waited = result_of(copy_and_wait<0>);
  for (int i = 0; i < kThreads; ++i) EXPECT_EQ(waited[i], kThreads + i);
  if (kMemorySanitizer) {
    expect_unwritten_read(copy_and_wait<1>);
    expect_unwritten_read(copy_without_commit);
  } else {
    EXPECT_EQ(result_of(copy_and_wait<1>), std::vector<int>(kThreads, -1));
    EXPECT_EQ(result_of(copy_without_commit), std::vector<int>(kThreads, -1));
  }
  EXPECT_TRUE(
      contains(error_of(copy_in_flight), "thread (0, 0, 0) ends with 1 asynchronous copies in flight"));
}

void overrun(int* out) {
  OMNI_SHARED(int, shared);
  shared[threadIdx.x + 1] = 1;
  out[threadIdx.x] = 0;
}

TEST(ShimMistakes, ASharedOverrunIsSeenAtTheByte) {
  EXPECT_EQ(error_of(overrun, (kThreads + 1) * sizeof(int)), "");
  if (kAddressSanitizer) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(error_of(overrun, kThreads * sizeof(int)), "AddressSanitizer: use-after-poison");
    EXPECT_DEATH(error_of(overrun, (kThreads + 1) * sizeof(int) - 1), "AddressSanitizer: use-after-poison");
  } else {
    EXPECT_TRUE(contains(error_of(overrun, kThreads * sizeof(int)),
                         "block (0, 0, 0) wrote outside of its shared memory"));
  }
}

void thread_leaves_early(int*) {
  if (threadIdx.x == 70) return;
  __syncthreads();
}
void two_barriers(int*) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
}

TEST(ShimMistakes, DivergentBarriersNameTheThreads) {
  const std::string early = error_of(thread_leaves_early);
  EXPECT_TRUE(contains(early, "divergent barrier in block (0, 0, 0)")) << early;
  EXPECT_TRUE(contains(early, "thread (70, 0, 0) has ended")) << early;
  const std::string two = error_of(two_barriers);
  EXPECT_TRUE(contains(two, "divergent barrier in block (0, 0, 0)")) << two;
  EXPECT_TRUE(contains(two, "thread (32, 0, 0) waits")) << two;
}

void lane_missing(int* out) {
  if (threadIdx.x % 32 != 3) out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);
}
void mask_without_itself(int* out) { out[threadIdx.x] = __shfl_xor_sync(0x7fffffffu, 1, 1); }
void different_operations(int* out) {
  if (threadIdx.x % 2)
    out[threadIdx.x] = __any_sync(0xffffffffu, 1);
  else
    out[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
}
void barrier_against_warp(int*) {
  if (threadIdx.x == 1)
    __syncthreads();
  else
    __syncwarp();
}

TEST(ShimMistakes, WrongMasksAreNotWaitedForForever) {
  const std::string missing = error_of(lane_missing);
  EXPECT_TRUE(contains(missing, "deadlock in block (0, 0, 0)")) << missing;
  EXPECT_TRUE(contains(missing, "__shfl_sync with mask 0xffffffff")) << missing;
  EXPECT_TRUE(contains(missing, "thread (3, 0, 0) has ended")) << missing;
  const std::string itself = error_of(mask_without_itself);
  EXPECT_TRUE(contains(itself, "thread (31, 0, 0) calls __shfl_sync with a mask that lacks its own lane"))
      << itself;
  EXPECT_TRUE(contains(error_of(different_operations), "deadlock"));
  EXPECT_TRUE(contains(error_of(barrier_against_warp), "deadlock"));
}

// The mistake is for the shim to see; UndefinedBehaviorSanitizer would end the test before.
#define OMNI_MAY_BE_MISALIGNED __attribute__((no_sanitize("alignment")))
OMNI_MAY_BE_MISALIGNED void misaligned_load(int* out) {
  OMNI_SHARED(float, shared);
  const float4 x = *reinterpret_cast<const float4*>(shared + threadIdx.x % 2);
  out[threadIdx.x] = __float_as_int(x.x);
}
OMNI_MAY_BE_MISALIGNED void misaligned_store(int*) {
  OMNI_SHARED(float, shared);
  *reinterpret_cast<float2*>(shared + threadIdx.x) = make_float2(1, 2);
}
void misaligned_copy(int*) {
  OMNI_SHARED(int, shared);
  cuda::copy_async_16(shared + threadIdx.x, source_of_copies);
  cuda::copy_async_wait_all();
}
void misaligned_rows(int*) {
  OMNI_SHARED(int, shared);
  unsigned registers[4];
  cuda::load_matrix_x4(registers, shared + threadIdx.x % 32);
}

TEST(ShimMistakes, MisalignedVectorsAreSeen) {
  EXPECT_TRUE(contains(error_of(misaligned_load), "misaligned access to a float4"));
  EXPECT_TRUE(contains(error_of(misaligned_store), "misaligned access to a float2"));
  EXPECT_TRUE(contains(error_of(misaligned_copy), "misaligned access to a target of an asynchronous copy"));
  EXPECT_TRUE(contains(error_of(misaligned_rows), "misaligned access to a row of ldmatrix"));
}

void spin(int* out) {
  while (atomicAdd(out, 0) == 0) {
  }
}

TEST(ShimMistakes, SpinningEnds) { EXPECT_TRUE(contains(error_of(spin), "seems to spin on memory")); }

void outside_of_global(int* out) { out[threadIdx.x + 2] = 1; }

TEST(ShimMistakes, GlobalOverrunsAreSeen) {
  if (!kAddressSanitizer) GTEST_SKIP() << "needs AddressSanitizer";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(error_of(outside_of_global), "AddressSanitizer: heap-buffer-overflow");
}

// After an error the next launch starts afresh.
TEST(ShimMistakes, ErrorsLeaveNothingBehind) {
  EXPECT_NE(error_of(lane_missing), "");
  EXPECT_EQ(result_of(copy_and_wait<0>).front(), source_of_copies[kThreads]);
}

}  // namespace
}  // namespace omni::shim
