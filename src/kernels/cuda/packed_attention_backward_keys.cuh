#pragma once

#include "packed_attention_backward_tile.cuh"

// Gradients of keys and values: a block owns a tile of keys of one key-value head and walks over the queries
// that see it, of all heads that share it. Scores are computed with keys as rows, so that weights and their
// gradients are, in registers, the left factors of the products that sum into key and value gradients.
namespace omni::cuda {

// What one kernel computes. Beyond head size 128 both sums do not fit into the registers at once.
enum class KeyPass { both, both_and_query, keys, values };

template <class T, int kHead>
struct KeyShape {
  static constexpr bool kLarge = kHead > 128;
  static constexpr int kWarps = kLarge ? 4 : 8;
  static constexpr int kThreads = kWarps * kWarp;
  static constexpr int kKeys = kWarps * 16;
  static constexpr int kQueries = kLarge ? 32 : 64;
  using KeyTile = SharedTile<T, kKeys, kHead>;
  using QueryTile = SharedTile<T, kQueries, kHead>;
  using GradientTile = SharedTile<T, kKeys, kQueries>;  // of the scores, keys as rows
  static constexpr int kStageBytes =
      2 * QueryTile::kBytes + kQueries * static_cast<int>(sizeof(QueryNumbers) + sizeof(Span));
  static constexpr int kSharedBytes = 2 * KeyTile::kBytes + 2 * kStageBytes;
  static constexpr int kSharedBytesWithQuery = kSharedBytes + GradientTile::kBytes;
};

// One of two sets of query rows in shared memory.
template <class T, int kHead>
struct QueryStage {
  using Shape = KeyShape<T, kHead>;
  typename Shape::QueryTile queries, output_gradients;
  QueryNumbers* numbers;
  Span* spans;

  __device__ __forceinline__ explicit QueryStage(unsigned char* bytes)
      : queries{reinterpret_cast<T*>(bytes)},
        output_gradients{reinterpret_cast<T*>(bytes + Shape::QueryTile::kBytes)},
        numbers(reinterpret_cast<QueryNumbers*>(bytes + 2 * Shape::QueryTile::kBytes)),
        spans(reinterpret_cast<Span*>(numbers + Shape::kQueries)) {}

  // Starts the copies of `head`'s rows from `row` on.
  __device__ __forceinline__ void copy(const OmniCudaAttentionBackward& b, int head, int row) const {
    const OmniCudaAttention& a = b.forward;
    copy_tile_async<Shape::kThreads>(queries, global_rows<T>(a.query, head, row, a.query_rows, a.head_size));
    copy_tile_async<Shape::kThreads>(output_gradients,
                                     global_rows<T>(b.output_gradient, head, row, a.query_rows, a.head_size));
    const int i = static_cast<int>(threadIdx.x);
    if (i >= Shape::kQueries) return;
    // Rows after the last one get a span that sees nothing.
    const bool valid = row + i < a.query_rows;
    const int source = valid ? row + i : 0;
    copy_async_8(&numbers[i], &query_numbers(b, head)[source], valid);
    copy_async_4(&spans[i].first, &a.key_first[source], valid);
    copy_async_4(&spans[i].last, &a.key_last[source], valid);
  }
};

// One warp's 16 keys.
template <class T, int kHead, KeyPass kPass>
class KeyRows {
 public:
  using Shape = KeyShape<T, kHead>;
  static constexpr bool kKeys = kPass != KeyPass::values, kValues = kPass != KeyPass::keys;
  static constexpr int kQueryTiles = Shape::kQueries / 8;
  using Weights = float[1][kQueryTiles][4];

  __device__ __forceinline__ KeyRows(float scale, int key, int row, int lane)
      : scale_(scale), key_(key), row_(row), lane_(lane) {
    clear(key_gradient_);
    clear(value_gradient_);
  }

  // Adds the queries of a stage. `gradients` gets the gradient of the scores, rounded, where it is wanted.
  __device__ __forceinline__ void add(const QueryStage<T, kHead>& stage, Sight sight,
                                      const typename Shape::KeyTile& keys,
                                      const typename Shape::KeyTile& values,
                                      const typename Shape::GradientTile& gradients) {
    Weights weights;
    clear(weights);
    multiply_rows<T, 8>(weights, keys, row_, stage.queries, lane_);
    weigh(weights, stage, sight);
    if constexpr (kValues) multiply_accumulators<T>(value_gradient_, weights, stage.output_gradients, lane_);
    if constexpr (kKeys) {
      Weights gradient;
      clear(gradient);
      multiply_rows<T, 1>(gradient, values, row_, stage.output_gradients, lane_);
#pragma unroll
      for (int n = 0; n < kQueryTiles; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) weights[0][n][i] *= gradient[0][n][i] - stage.numbers[column(n, i)].delta;
      if constexpr (kPass == KeyPass::both_and_query) keep(weights, gradients);
      multiply_accumulators<T>(key_gradient_, weights, stage.queries, lane_);
    }
  }

  // The gradient of scores that no query of the stage has.
  __device__ __forceinline__ void keep_zeros(const typename Shape::GradientTile& gradients) const {
    Weights zeros;
    clear(zeros);
    keep(zeros, gradients);
  }

  // Writes both gradients through the warp's rows of the tiles of keys and values.
  __device__ __forceinline__ void finish(const OmniCudaAttentionBackward& b, int head,
                                         const typename Shape::KeyTile& keys,
                                         const typename Shape::KeyTile& values) {
    if constexpr (kKeys) store(b, b.key_gradient, head, key_gradient_, scale_, keys);
    if constexpr (kValues) store(b, b.value_gradient, head, value_gradient_, 1.0f, values);
  }

 private:
  __device__ __forceinline__ int column(int n, int i) const { return 8 * n + lane_ % 4 * 2 + i % 2; }

  // Scores to softmax weights, with the logarithm of the sum that the forward pass left.
  __device__ __forceinline__ void weigh(Weights& weights, const QueryStage<T, kHead>& stage,
                                        Sight sight) const {
    const float scale = scale_ * kLog2E;
#pragma unroll
    for (int n = 0; n < kQueryTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        weights[0][n][i] = exp2_approximate(weights[0][n][i] * scale - stage.numbers[column(n, i)].log2_sum);
    if (sight == Sight::all) return;
#pragma unroll
    for (int n = 0; n < kQueryTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (!stage.spans[column(n, i)].sees(key_ + lane_ / 4 + i / 2 * 8)) weights[0][n][i] = 0;
  }

  __device__ __forceinline__ void keep(const Weights& weights,
                                       const typename Shape::GradientTile& gradients) const {
#pragma unroll
    for (int n = 0; n < kQueryTiles; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        *reinterpret_cast<unsigned*>(gradients.at(row_ + lane_ / 4 + 8 * half, column(n, 0))) =
            pack<T>(weights[0][n][2 * half], weights[0][n][2 * half + 1]);
  }

  __device__ __forceinline__ void store(const OmniCudaAttentionBackward& b, const OmniCudaHeads& to, int head,
                                        const float (&sums)[1][kHead / 8][4], float scale,
                                        const typename Shape::KeyTile& tile) const {
    T* target = static_cast<T*>(to.data) + head * to.head_stride + key_ * to.row_stride;
    const float factor[2] = {scale, scale};
    store_rows(TargetRows<T>{target, to.row_stride, b.forward.key_rows - key_, b.forward.head_size}, sums[0],
               factor, tile, row_, lane_);
  }

  float key_gradient_[1][kKeys ? kHead / 8 : 1][4];
  float value_gradient_[1][kValues ? kHead / 8 : 1][4];
  float scale_;
  int key_, row_, lane_;  // the first key of the warp, its row in the tile, the thread's number in the warp
};

// query_sums += gradients^T keys for the queries of a stage: warps share out 16 queries and a part of the
// head.
template <class T, int kHead>
__device__ __forceinline__ void add_query_sums(const OmniCudaAttentionBackward& b, int head, int row,
                                               const typename KeyShape<T, kHead>::GradientTile& gradients,
                                               const typename KeyShape<T, kHead>::KeyTile& keys, int warp,
                                               int lane) {
  using Shape = KeyShape<T, kHead>;
  constexpr int kRowGroups = Shape::kQueries / 16, kParts = Shape::kWarps / kRowGroups;
  constexpr int kColumns = kHead / kParts;
  static_assert(kColumns % 16 == 0, "");
  const int own_row = warp % kRowGroups * 16, own_column = warp / kRowGroups * kColumns;
  float sums[kColumns / 8][4];
  clear(sums);
#pragma unroll
  for (int k = 0; k < Shape::kKeys; k += 16) {
    unsigned left[4];
    load_left_transposed(left, gradients, k, own_row, lane);
#pragma unroll
    for (int n = 0; n < kColumns / 8; n += 2) {
      unsigned right[2][2];
      load_right_from_columns(right, keys, k, own_column + 8 * n, lane);
      multiply_accumulate<T>(sums[n], left, right[0]);
      multiply_accumulate<T>(sums[n + 1], left, right[1]);
    }
  }
  const OmniCudaAttention& a = b.forward;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int i = row + own_row + 8 * half + lane / 4;
    if (i >= a.query_rows) continue;
    float* target = b.query_sums + (static_cast<std::int64_t>(i) * a.heads + head) * a.head_size;
#pragma unroll
    for (int n = 0; n < kColumns / 8; ++n) {
      const int column = own_column + 8 * n + lane % 4 * 2;
      if (column >= a.head_size) continue;
      atomicAdd(target + column, sums[n][2 * half]);
      atomicAdd(target + column + 1, sums[n][2 * half + 1]);
    }
  }
}

// One block per tile of keys (x) and key-value head (y).
template <class T, int kHead, KeyPass kPass>
__global__ void __launch_bounds__(KeyShape<T, kHead>::kThreads)
    attention_key_gradient(OmniCudaAttentionBackward b) {
  using Shape = KeyShape<T, kHead>;
  const OmniCudaAttention& a = b.forward;
  OMNI_SHARED(unsigned char, shared);
  const typename Shape::KeyTile keys{reinterpret_cast<T*>(shared)};
  const typename Shape::KeyTile values{reinterpret_cast<T*>(shared + Shape::KeyTile::kBytes)};
  unsigned char* const stages = shared + 2 * Shape::KeyTile::kBytes;
  const typename Shape::GradientTile gradients{reinterpret_cast<T*>(stages + 2 * Shape::kStageBytes)};
  const auto stage_of = [&](int number) {
    return QueryStage<T, kHead>(stages + number * Shape::kStageBytes);
  };

  const int key_head = static_cast<int>(blockIdx.y), key_begin = static_cast<int>(blockIdx.x) * Shape::kKeys;
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp_key = key_begin + 16 * warp;
  auto tiles = queries_seeing<Shape::kKeys, Shape::kQueries>(a, key_begin, key_head);
  KeyRows<T, kHead, kPass> rows(a.scale, warp_key, 16 * warp, lane);
  if (!tiles.done()) {
    copy_tile_async<Shape::kThreads>(keys,
                                     global_rows<T>(a.key, key_head, key_begin, a.key_rows, a.head_size));
    copy_tile_async<Shape::kThreads>(values,
                                     global_rows<T>(a.value, key_head, key_begin, a.key_rows, a.head_size));
    stage_of(0).copy(b, tiles.head(), tiles.row());
    copy_async_commit();
  }
  for (int number = 0; !tiles.done(); number ^= 1) {
    const int head = tiles.head(), row = tiles.row(),
              last = min(row + Shape::kQueries, a.query_rows) - 1 - row;
    tiles.next();
    if (!tiles.done()) stage_of(number ^ 1).copy(b, tiles.head(), tiles.row());
    copy_async_commit();
    copy_async_wait<1>();
    __syncthreads();  // this stage is there
    const QueryStage<T, kHead> stage = stage_of(number);
    const Sight sight = sight_of(stage.spans[0], stage.spans[last], warp_key, warp_key + 16);
    if (sight != Sight::none)
      rows.add(stage, last + 1 < Shape::kQueries ? Sight::some : sight, keys, values, gradients);
    else if constexpr (kPass == KeyPass::both_and_query)
      rows.keep_zeros(gradients);
    if constexpr (kPass == KeyPass::both_and_query) {
      __syncthreads();  // the gradients of all keys are there
      add_query_sums<T, kHead>(b, head, row, gradients, keys, warp, lane);
    }
    __syncthreads();  // nobody needs this stage any more
  }
  copy_async_wait_all();
  rows.finish(b, key_head, keys, values);
}

}  // namespace omni::cuda
