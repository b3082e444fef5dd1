#pragma once

#include "hopper_ptx.h"
#include "packed_attention_spans.cuh"
#include "shared_tile.cuh"

// What the attention kernels for Hopper share. A block is three warp groups: one thread (or warp) of the first
// one has tiles copied into a ring of stages in shared memory, the other two multiply, 64 rows of a tile each
// (Shah et al. 2024, arXiv 2407.08608, without their overlap of softmax and products inside a group). Which
// tiles are visited the producer alone decides; what it leaves beside a stage tells the others.
namespace omni::cuda {

constexpr int kWarpGroup = 4 * kWarp;
constexpr int kConsumerGroups = 2;
constexpr int kConsumerWarps = kConsumerGroups * 4;
constexpr int kGroupRows = 64;                             // of a product of one warp group
constexpr int kHopperRows = kConsumerGroups * kGroupRows;  // of a block's tile
constexpr int kHopperThreads = (1 + kConsumerGroups) * kWarpGroup;
// Of each thread. A launch gives all of them the same; together they may have no more than that.
constexpr int kLaunchRegisters = 168, kProducerRegisters = 24, kConsumerRegisters = 240;
static_assert(kProducerRegisters + kConsumerGroups * kConsumerRegisters <=
                  (1 + kConsumerGroups) * kLaunchRegisters,
              "a group that asks for more than is left waits for ever");

// Where producer or consumers are in a ring of kStages stages.
template <int kStages>
struct RingPlace {
  int stage = 0;
  unsigned phase = 0;
  __device__ __forceinline__ void next() {
    if (++stage < kStages) return;
    stage = 0;
    phase ^= 1;
  }
};

// The tiles of a ring's stages.
template <class Tile>
struct TileRing {
  unsigned address;
  __device__ __forceinline__ Tile operator[](int stage) const {
    return Tile{address + static_cast<unsigned>(stage * Tile::kBytes)};
  }
};

// Shared memory handed out from its first whole swizzle atom on; launches ask for one atom more than they use.
class SharedParts {
 public:
  __device__ __forceinline__ explicit SharedParts(unsigned char* memory)
      : next_(memory + (kSwizzleAtomBytes - shared_window(memory) % kSwizzleAtomBytes) % kSwizzleAtomBytes) {}

  template <class Tile>
  __device__ __forceinline__ Tile panels() {
    return Tile{shared_window(take(Tile::kBytes))};
  }
  template <class Tile, int kStages>
  __device__ __forceinline__ TileRing<Tile> ring() {
    return {shared_window(take(kStages * Tile::kBytes))};
  }
  __device__ __forceinline__ unsigned char* take(int bytes) {
    unsigned char* const part = next_;
    next_ += bytes;
    return part;
  }

 private:
  unsigned char* next_;
};

// The place of a consumer's thread.
struct ConsumerPlace {
  static __device__ __forceinline__ int lane() { return static_cast<int>(threadIdx.x) % kWarp; }
  // In the tile: the first row of the thread's warp group, and of its warp.
  static __device__ __forceinline__ int group_row() {
    return (static_cast<int>(threadIdx.x) / kWarpGroup - 1) * kGroupRows;
  }
  static __device__ __forceinline__ int warp_row() {
    return (static_cast<int>(threadIdx.x) / kWarp - 4) * 16;
  }
  // The first of the thread's two rows, in its group; the other one is 8 further on.
  static __device__ __forceinline__ int row() { return warp_row() - group_row() + lane() / 4; }
};

// At a stage that is filled `producers` threads arrive, at one that is free again each of the consuming warps.
template <int kStages>
__device__ __forceinline__ void prepare_ring(SharedBarrier (&full)[kStages], SharedBarrier (&free)[kStages],
                                             int producers) {
#pragma unroll
  for (int stage = 0; stage < kStages; ++stage) {
    full[stage].initialise(producers);
    free[stage].initialise(kConsumerWarps);
  }
}

// All lanes of a warp have read what a stage holds.
__device__ __forceinline__ void leave_stage(SharedBarrier& free) {
  __syncwarp();
  if (ConsumerPlace::lane() == 0) free.arrive();
}

// A block's work: the first kProducers threads produce, the warp groups after theirs consume.
template <int kProducers, class Memory, class Produce, class Consume>
__device__ __forceinline__ void share_work(const Memory& memory, const Produce& produce,
                                           const Consume& consume) {
  if (threadIdx.x == 0) {
    memory.prepare();
    publish_barriers();
  }
  __syncthreads();
  if (threadIdx.x < kWarpGroup) {
    leave_registers<kProducerRegisters>();
    if (threadIdx.x < kProducers) produce();
  } else {
    allow_registers<kConsumerRegisters>();
    consume();
  }
}

template <class Tile>
__device__ __forceinline__ void copy_panels(const Tile& tile, const TensorMap& map, SharedBarrier& barrier,
                                            int head, int row) {
#pragma unroll
  for (int panel = 0; panel < Tile::kPanels; ++panel)
    copy_box(tile.address + static_cast<unsigned>(panel * Tile::kPanelBytes), map, barrier,
             panel * kPanelColumns, head, row);
}

// sums = left[row ..] right^T over all columns, rows of `right` as columns of the sums. Closes a group.
template <int kTiles, class Left, class Right>
__device__ __forceinline__ void multiply_tiles(float (&sums)[kTiles][4], const Left& left, int row,
                                               const Right& right) {
  static_assert(Left::kColumns == Right::kColumns && Right::kRows == 8 * kTiles, "the shapes fit");
#pragma unroll
  for (int step = 0; step < Left::kColumns / 16; ++step)
    multiply_columns(sums, left.columns(row, step), right.columns(0, step), step > 0);
  commit_products();
}

// sums += left right over the rows of `right`.
template <int kTiles, int kSteps, class Right>
__device__ __forceinline__ void multiply_left(float (&sums)[kTiles][4], const unsigned (&left)[kSteps][4],
                                              const Right& right) {
  static_assert(Right::kRows == 16 * kSteps && Right::kColumns == 8 * kTiles, "the shapes fit");
#pragma unroll
  for (int step = 0; step < kSteps; ++step) multiply_rows_of(sums, left[step], right.rows(step));
}

// The sums of one product as the left factor of the next, rounded.
template <int kSteps>
__device__ __forceinline__ void round_to_left(unsigned (&left)[kSteps][4],
                                              const float (&sums)[2 * kSteps][4]) {
#pragma unroll
  for (int step = 0; step < kSteps; ++step)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float(&from)[4] = sums[2 * step + i / 2];
      left[step][i] = pack<__nv_bfloat16>(from[i % 2 * 2], from[i % 2 * 2 + 1]);
    }
}

// The column of sums[n][i].
__device__ __forceinline__ int sum_column(int n, int i) {
  return 8 * n + ConsumerPlace::lane() % 4 * 2 + i % 2;
}

// The spans of a thread's two rows and of its group's first and last one; rows past the last get its span.
struct GroupSpans {
  Span own[2], first, last;
  __device__ __forceinline__ GroupSpans(const OmniCudaAttention& a, int group_row) {
    const auto of = [&](int row) { return span_of(a, min(row, a.query_rows - 1)); };
#pragma unroll
    for (int half = 0; half < 2; ++half) own[half] = of(group_row + ConsumerPlace::row() + 8 * half);
    first = of(group_row);
    last = of(group_row + kGroupRows - 1);
  }
};

}  // namespace omni::cuda
