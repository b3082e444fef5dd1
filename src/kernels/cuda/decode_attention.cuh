#pragma once

#include <cmath>
#include <cstdint>

#include "cache_fragments.cuh"
#include "decode_attention_interface.h"
#include "numeric.cuh"
#include "ptx.h"

// Attention of few queries to many keys ("flash decoding", Dao et al. 2023): a block handles one split of the
// keys of one key-value head for all queries that read them, and leaves a partial softmax; the block that
// finishes a row last merges its partials in the order of the splits. Splits have a fixed size, so a row's
// result does not depend on the rows beside it.
namespace omni::cuda {

constexpr int kDecodeWarps = 4;
constexpr int kDecodeThreads = 32 * kDecodeWarps;
constexpr int kTileKeys = 64;  // per stage of the pipeline
constexpr int kStages = 2;
constexpr int kSliceKeys = 16;  // that a warp takes at a time
constexpr int kTileQueries = 16;

struct DecodeLaunch {
  OmniCudaDecodeAttention arguments;
  float* outputs;      // [rows, heads, splits, head_size] of the partial softmaxes
  float2* states;      // [rows, heads, splits] their largest score (times log2 e) and sum
  unsigned* finished;  // [rows, key_value_heads] splits that are done; zero between launches
};

// The shared memory of a block. Rows are padded so that eight of them start in different banks.
template <class E, int kWidth>
struct DecodeTiles {
  static constexpr int kPitch = kWidth + 16 / static_cast<int>(sizeof(E));
  struct Stage {
    E keys[kTileKeys * kPitch];
    E values[kTileKeys * kPitch];
    float key_scales[kTileKeys], value_scales[kTileKeys];
  };
  static constexpr int kResultBytes = kOmniCudaMostGroupQueries * (kWidth * static_cast<int>(sizeof(float)) +
                                                                   static_cast<int>(sizeof(float2)));
  static constexpr int kStateBytes = kDecodeWarps * kTileQueries * static_cast<int>(sizeof(float2));
  static constexpr int kStageBytes = kStages * static_cast<int>(sizeof(Stage));
  static constexpr int kBytes =
      (kStageBytes > kResultBytes + kStateBytes ? kStageBytes : kResultBytes + kStateBytes) + 16;
};

template <class T, class E, int kWidth>
class DecodeBlock {
 public:
  __device__ DecodeBlock(const DecodeLaunch& launch, unsigned char* memory)
      : args_(launch.arguments),
        launch_(launch),
        memory_(memory),
        split_(static_cast<int>(blockIdx.x)),
        head_(static_cast<int>(blockIdx.y)),
        row_(static_cast<int>(blockIdx.z)),
        place_(args_.rows[row_]),
        per_head_(args_.heads / args_.key_value_heads) {}

  __device__ void run();

 private:
  using Tiles = DecodeTiles<E, kWidth>;
  using Stage = typename Tiles::Stage;
  static constexpr int kSteps = kWidth / 16;

  __device__ Stage& stage(int i) const { return reinterpret_cast<Stage*>(memory_)[i % kStages]; }
  __device__ void load_queries();
  __device__ void start_tile(int tile);
  __device__ void attend_slice(const Stage& stage, int first, int visible);
  __device__ void merge_warps();
  __device__ void write_partials();
  __device__ void finish_row(int row);

  // Query i of the block: heads of the key-value head's group, row by row.
  __device__ int row_of(int query) const { return first_row_ + query / per_head_; }
  __device__ int head_of(int query) const { return head_ * per_head_ + query % per_head_; }
  __device__ std::int64_t partial_index(int row, int head, int split) const {
    return (static_cast<std::int64_t>(row) * args_.heads + head) * args_.maximum_splits + split;
  }

  const OmniCudaDecodeAttention& args_;
  const DecodeLaunch& launch_;
  unsigned char* memory_;
  const int split_, head_, row_;
  const OmniCudaDecodeRow place_;
  const int per_head_;
  int first_row_ = 0, query_count_ = 0;  // of this block
  std::int64_t source_ = 0;              // first key in the cache, in tokens
  int key_count_ = 0;
  int tiles_ = 0, query_tile_ = 0, slice_ = 0, slices_ = 0;  // of queries; this warp's; warps per query tile
  unsigned query_[kSteps][4];
  float output_[kWidth / 8][4];
  float largest_[2] = {-INFINITY, -INFINITY}, total_[2] = {0, 0};  // of rows lane / 4 and lane / 4 + 8
};

template <class T, class E, int kWidth>
__device__ void DecodeBlock<T, E, kWidth>::load_queries() {
  const int lane = threadIdx.x % 32;
  for (int step = 0; step < kSteps; ++step)
    for (int i = 0; i < 4; ++i) {
      const int query = query_tile_ * kTileQueries + lane / 4 + i % 2 * 8;
      const int column = step * 16 + 2 * (lane % 4) + i / 2 * 8;
      query_[step][i] = 0;
      if (query < query_count_) {
        const T* source = static_cast<const T*>(args_.query) + row_of(query) * args_.query_stride +
                          static_cast<std::int64_t>(head_of(query)) * kWidth + column;
        query_[step][i] = *reinterpret_cast<const unsigned*>(source);
      }
    }
}

template <class T, class E, int kWidth>
__device__ void DecodeBlock<T, E, kWidth>::start_tile(int tile) {
  constexpr int kPerCopy = 16 / static_cast<int>(sizeof(E)), kCopies = kWidth / kPerCopy;
  Stage& s = stage(tile);
  const int first = tile * kTileKeys;
  const E* keys = static_cast<const E*>(args_.keys) + source_ * kWidth;
  const E* values = static_cast<const E*>(args_.values) + source_ * kWidth;
  for (int i = threadIdx.x; i < kTileKeys * kCopies; i += kDecodeThreads) {
    const int key = i / kCopies, column = i % kCopies * kPerCopy;
    const bool valid = first + key < key_count_;
    const std::int64_t from = static_cast<std::int64_t>(valid ? first + key : 0) * kWidth + column;
    copy_async_16(s.keys + key * Tiles::kPitch + column, keys + from, valid);
    copy_async_16(s.values + key * Tiles::kPitch + column, values + from, valid);
  }
  if constexpr (kIsByte<E>) {
    static_assert(kDecodeThreads == 2 * kTileKeys, "one scale per thread");
    const int key = threadIdx.x % kTileKeys;
    const bool valid = first + key < key_count_, is_key = threadIdx.x < kTileKeys;
    const float* scales = is_key ? args_.key_scales : args_.value_scales;
    copy_async_4((is_key ? s.key_scales : s.value_scales) + key, scales + source_ + (valid ? first + key : 0),
                 valid);
  }
  copy_async_commit();
}

// This warp's queries and 16 keys, of which `visible` are there.
template <class T, class E, int kWidth>
__device__ void DecodeBlock<T, E, kWidth>::attend_slice(const Stage& s, int first, int visible) {
  const int lane = threadIdx.x % 32;
  float scores[2][4] = {};
  for (int step = 0; step < kSteps; ++step) {
    unsigned b[2][2];
    load_keys<T, E>(b, s.keys + first * Tiles::kPitch + step * 16, Tiles::kPitch);
    multiply_accumulate<T>(scores[0], query_[step], b[0]);
    multiply_accumulate<T>(scores[1], query_[step], b[1]);
  }
  const float unit = args_.scale * kLog2E;
  float peak[2] = {largest_[0], largest_[1]};
  for (int n = 0; n < 2; ++n)
    for (int i = 0; i < 4; ++i) {
      const int key = 8 * n + 2 * (lane % 4) + i % 2;
      float score = scores[n][i] * unit;
      if constexpr (kIsByte<E>) score *= s.key_scales[first + key];
      scores[n][i] = key < visible ? score : -INFINITY;
      peak[i / 2] = fmaxf(peak[i / 2], scores[n][i]);
    }
  float shift[2], factor[2];
  for (int r = 0; r < 2; ++r) {
    peak[r] = group_max<2>(peak[r]);
    shift[r] = peak[r] == -INFINITY ? 0.0f : peak[r];
    factor[r] = exp2_approximate(largest_[r] - shift[r]);
    largest_[r] = peak[r];
    total_[r] *= factor[r];
  }
  for (int n = 0; n < 2; ++n)
    for (int i = 0; i < 4; ++i) {
      const float p = exp2_approximate(scores[n][i] - shift[i / 2]);
      total_[i / 2] += p;
      scores[n][i] = p;
      if constexpr (kIsByte<E>) scores[n][i] = p * s.value_scales[first + 8 * n + 2 * (lane % 4) + i % 2];
    }
  const unsigned p[4] = {pack<T>(scores[0][0], scores[0][1]), pack<T>(scores[0][2], scores[0][3]),
                         pack<T>(scores[1][0], scores[1][1]), pack<T>(scores[1][2], scores[1][3])};
  for (int step = 0; step < kSteps; ++step) {
    unsigned b[2][2];
    load_values<T, E>(b, s.values + first * Tiles::kPitch + step * 16, Tiles::kPitch);
    for (int n = 0; n < 2; ++n) {
      float(&sums)[4] = output_[2 * step + n];
      for (int i = 0; i < 4; ++i) sums[i] *= factor[i / 2];
      multiply_accumulate<T>(sums, p, b[n]);
    }
  }
}

// Adds up what the warps of each query tile found, warp after warp, in shared memory.
template <class T, class E, int kWidth>
__device__ void DecodeBlock<T, E, kWidth>::merge_warps() {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float* results = reinterpret_cast<float*>(memory_);  // [queries, width]
  float2* totals = reinterpret_cast<float2*>(memory_ + kOmniCudaMostGroupQueries * kWidth * sizeof(float));
  float2* states = reinterpret_cast<float2*>(memory_ + Tiles::kResultBytes);  // [warps, queries of a tile]
  for (int r = 0; r < 2; ++r) total_[r] = group_sum<2>(total_[r]);
  __syncthreads();  // the tiles have been read
  if (lane % 4 == 0)
    for (int r = 0; r < 2; ++r)
      states[warp * kTileQueries + lane / 4 + 8 * r] = make_float2(largest_[r], total_[r]);
  __syncthreads();
  float factor[2];
  for (int r = 0; r < 2; ++r) {
    const int own = lane / 4 + 8 * r;
    float peak = -INFINITY, total = 0;
    for (int s = 0; s < slices_; ++s)
      peak = fmaxf(peak, states[(query_tile_ + s * tiles_) * kTileQueries + own].x);
    const float shift = peak == -INFINITY ? 0.0f : peak;
    for (int s = 0; s < slices_; ++s) {
      const float2 state = states[(query_tile_ + s * tiles_) * kTileQueries + own];
      total += state.y * exp2_approximate(state.x - shift);
    }
    factor[r] = exp2_approximate(largest_[r] - shift);
    if (slice_ == 0 && lane % 4 == 0) totals[query_tile_ * kTileQueries + own] = make_float2(peak, total);
  }
  for (int s = 0; s < slices_; ++s) {
    if (slice_ == s)
      for (int block = 0; block < kWidth / 8; ++block)
        for (int i = 0; i < 4; ++i) {
          float& sum = results[(query_tile_ * kTileQueries + lane / 4 + i / 2 * 8) * kWidth + 8 * block +
                               2 * (lane % 4) + i % 2];
          const float own = output_[block][i] * factor[i / 2];
          sum = s == 0 ? own : sum + own;
        }
    __syncthreads();
  }
}

template <class T, class E, int kWidth>
__device__ void DecodeBlock<T, E, kWidth>::write_partials() {
  const float* results = reinterpret_cast<const float*>(memory_);
  const float2* totals =
      reinterpret_cast<const float2*>(memory_ + kOmniCudaMostGroupQueries * kWidth * sizeof(float));
  for (int i = threadIdx.x; i < query_count_ * kWidth; i += kDecodeThreads) {
    const int query = i / kWidth;
    launch_.outputs[partial_index(row_of(query), head_of(query), split_) * kWidth + i % kWidth] = results[i];
  }
  for (int query = threadIdx.x; query < query_count_; query += kDecodeThreads)
    launch_.states[partial_index(row_of(query), head_of(query), split_)] = totals[query];
}

// Notes that this block's part of a row is there; the last one merges the row's splits.
template <class T, class E, int kWidth>
__device__ void DecodeBlock<T, E, kWidth>::finish_row(int row) {
  const int splits = args_.rows[row].position / args_.keys_per_split + 1;
  unsigned* is_last = reinterpret_cast<unsigned*>(memory_ + Tiles::kBytes - 16);
  if (threadIdx.x == 0) {
    unsigned* finished = launch_.finished + static_cast<std::int64_t>(row) * args_.key_value_heads + head_;
    *is_last = atomicAdd(finished, 1u) + 1 == static_cast<unsigned>(splits);
    if (*is_last) *finished = 0;
  }
  __syncthreads();
  const bool merges = *is_last != 0;
  __syncthreads();
  if (!merges) return;
  __threadfence();
  for (int i = threadIdx.x; i < per_head_ * kWidth; i += kDecodeThreads) {
    const int head = head_ * per_head_ + i / kWidth, column = i % kWidth;
    const std::int64_t first = partial_index(row, head, 0);
    float peak = -INFINITY, total = 0, sum = 0;
    for (int s = 0; s < splits; ++s) peak = fmaxf(peak, launch_.states[first + s].x);
    const float shift = peak == -INFINITY ? 0.0f : peak;
    for (int s = 0; s < splits; ++s) {
      const float2 state = launch_.states[first + s];
      const float factor = exp2_approximate(state.x - shift);
      total += state.y * factor;
      sum += launch_.outputs[(first + s) * kWidth + column] * factor;
    }
    static_cast<T*>(args_.output)[(static_cast<std::int64_t>(row) * args_.heads + head) * kWidth + column] =
        T(sum / total);
  }
}

template <class T, class E, int kWidth>
__device__ void DecodeBlock<T, E, kWidth>::run() {
  const int first_key = split_ * args_.keys_per_split;
  if (first_key > place_.position) return;
  const bool shared = first_key < place_.shared_keys;
  if (shared && row_ != place_.group_first) return;
  const int row_count = shared ? place_.group_rows : 1;
  first_row_ = row_;
  query_count_ = row_count * per_head_;
  source_ =
      (static_cast<std::int64_t>(shared ? place_.holder : place_.sequence) * args_.key_value_heads + head_) *
          args_.room +
      first_key;
  key_count_ = min(args_.keys_per_split, place_.position + 1 - first_key);

  // Few queries: the warps share the keys; many: each warp has queries of its own.
  const int warp = threadIdx.x / 32;
  tiles_ = query_count_ <= kTileQueries ? 1 : query_count_ <= 2 * kTileQueries ? 2 : 4;
  slices_ = kDecodeWarps / tiles_;
  query_tile_ = warp % tiles_;
  slice_ = warp / tiles_;
  load_queries();
  for (int i = 0; i < kWidth / 8; ++i)
    for (int j = 0; j < 4; ++j) output_[i][j] = 0;

  const int key_tiles = (key_count_ + kTileKeys - 1) / kTileKeys;
  start_tile(0);
  for (int tile = 0; tile < key_tiles; ++tile) {
    if (tile + 1 < key_tiles) {
      start_tile(tile + 1);
      copy_async_wait<1>();
    } else {
      copy_async_wait<0>();
    }
    __syncthreads();
    const int left = key_count_ - tile * kTileKeys;
    for (int first = slice_ * kSliceKeys; first < kTileKeys && first < left; first += slices_ * kSliceKeys)
      attend_slice(stage(tile), first, left - first);
    __syncthreads();
  }
  merge_warps();
  write_partials();
  __threadfence();
  __syncthreads();
  for (int row = first_row_; row < first_row_ + row_count; ++row) finish_row(row);
}

template <class T, class E, int kWidth>
__global__ void __launch_bounds__(kDecodeThreads) decode_attention(const DecodeLaunch launch) {
  OMNI_SHARED(unsigned char, memory);
  DecodeBlock<T, E, kWidth> block(launch, memory);
  block.run();
}

}  // namespace omni::cuda
