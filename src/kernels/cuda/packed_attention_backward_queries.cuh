#pragma once

#include "packed_attention_backward_tile.cuh"

// The gradient of the queries without atomics: as in the forward pass, a block owns a tile of queries of one
// head and walks over the keys that these see.
namespace omni::cuda {

template <class T, int kHead>
struct QueryShape {
  static constexpr bool kLarge = kHead > 128;
  static constexpr int kWarps = kLarge ? 4 : 8;
  static constexpr int kThreads = kWarps * kWarp;
  static constexpr int kQueries = kWarps * 16;
  static constexpr int kKeys = kLarge ? 32 : 64;
  using QueryTile = SharedTile<T, kQueries, kHead>;
  using KeyTile = SharedTile<T, kKeys, kHead>;
  using Spans = Span[kQueries];
  static constexpr int kSharedBytes =
      2 * QueryTile::kBytes + 4 * KeyTile::kBytes + static_cast<int>(sizeof(Spans));
};

// One warp's 16 queries.
template <class T, int kHead>
class QueryRows {
 public:
  using Shape = QueryShape<T, kHead>;
  static constexpr int kKeyTiles = Shape::kKeys / 8;
  using Weights = float[1][kKeyTiles][4];

  // row: of the warp's first query in the tensor; tile_row: in the tile.
  __device__ __forceinline__ QueryRows(const OmniCudaAttentionBackward& b, int head, int row, int tile_row,
                                       int lane)
      : scale_(b.forward.scale), row_(tile_row), lane_(lane) {
    clear(gradient_);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int i = row + 8 * half + lane / 4;
      numbers_[half] = i < b.forward.query_rows ? query_numbers(b, head)[i] : QueryNumbers{0, 0};
    }
  }

  __device__ __forceinline__ void add(const typename Shape::QueryTile& queries,
                                      const typename Shape::QueryTile& output_gradients,
                                      const typename Shape::KeyTile& keys,
                                      const typename Shape::KeyTile& values, const Span* spans, int key,
                                      Sight sight) {
    Weights weights, gradient;
    clear(weights);
    multiply_rows<T, 8>(weights, queries, row_, keys, lane_);
    weigh(weights, spans, key, sight);
    clear(gradient);
    multiply_rows<T, 8>(gradient, output_gradients, row_, values, lane_);
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) weights[0][n][i] *= gradient[0][n][i] - numbers_[i / 2].delta;
    multiply_accumulators<T>(gradient_, weights, keys, lane_);
  }

  __device__ __forceinline__ void finish(const OmniCudaAttentionBackward& b, int head, int row,
                                         const typename Shape::QueryTile& tile) {
    const OmniCudaHeads& to = b.query_gradient;
    T* target = static_cast<T*>(to.data) + head * to.head_stride + row * to.row_stride;
    const float factor[2] = {scale_, scale_};
    store_rows(TargetRows<T>{target, to.row_stride, b.forward.query_rows - row, b.forward.head_size},
               gradient_[0], factor, tile, row_, lane_);
  }

 private:
  __device__ __forceinline__ void weigh(Weights& weights, const Span* spans, int key, Sight sight) const {
    const float scale = scale_ * kLog2E;
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        weights[0][n][i] = exp2_approximate(weights[0][n][i] * scale - numbers_[i / 2].log2_sum);
    if (sight == Sight::all) return;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const Span span = spans[row_ + 8 * half + lane_ / 4];
#pragma unroll
      for (int n = 0; n < kKeyTiles; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i)
          if (!span.sees(key + 8 * n + lane_ % 4 * 2 + i)) weights[0][n][2 * half + i] = 0;
    }
  }

  float gradient_[1][kHead / 8][4];
  QueryNumbers numbers_[2];
  float scale_;
  int row_, lane_;
};

// One block per tile of queries (x, the last ones first) and head (y).
template <class T, int kHead>
__global__ void __launch_bounds__(QueryShape<T, kHead>::kThreads)
    attention_query_gradient(OmniCudaAttentionBackward b) {
  using Shape = QueryShape<T, kHead>;
  const OmniCudaAttention& a = b.forward;
  OMNI_SHARED(T, shared);
  const typename Shape::QueryTile queries{shared};
  const typename Shape::QueryTile output_gradients{shared + Shape::QueryTile::kBytes / 2};
  T* const stages = shared + Shape::QueryTile::kBytes;
  const auto keys_of = [&](int stage) {
    return typename Shape::KeyTile{stages + stage * Shape::KeyTile::kBytes};
  };
  const auto values_of = [&](int stage) {
    return typename Shape::KeyTile{stages + stage * Shape::KeyTile::kBytes + Shape::KeyTile::kBytes / 2};
  };
  auto& spans = *reinterpret_cast<typename Shape::Spans*>(stages + 2 * Shape::KeyTile::kBytes);

  const int head = static_cast<int>(blockIdx.y), key_head = head / (a.heads / a.key_value_heads);
  const int row_begin = static_cast<int>(gridDim.x - 1 - blockIdx.x) * Shape::kQueries;
  const int row_end = min(row_begin + Shape::kQueries, a.query_rows);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
  const int warp_row = thread / kWarp * 16;

  auto tiles = KeyTiles<Shape::kKeys>::over(a, row_begin, row_end, spans);
  const auto copy_keys = [&](int stage) {
    const int key = tiles.key();
    copy_tile_async<Shape::kThreads>(keys_of(stage),
                                     global_rows<T>(a.key, key_head, key, a.key_rows, a.head_size));
    copy_tile_async<Shape::kThreads>(values_of(stage),
                                     global_rows<T>(a.value, key_head, key, a.key_rows, a.head_size));
  };
  if (!tiles.done()) {
    copy_tile_async<Shape::kThreads>(queries,
                                     global_rows<T>(a.query, head, row_begin, a.query_rows, a.head_size));
    copy_tile_async<Shape::kThreads>(
        output_gradients, global_rows<T>(b.output_gradient, head, row_begin, a.query_rows, a.head_size));
    copy_keys(0);
    copy_async_commit();
  }

  QueryRows<T, kHead> rows(b, head, row_begin + warp_row, warp_row, lane);
  for (int stage = 0; !tiles.done(); stage ^= 1) {
    const int key = tiles.key();
    tiles.next(spans);
    if (!tiles.done()) copy_keys(stage ^ 1);
    copy_async_commit();
    copy_async_wait<1>();
    __syncthreads();  // this stage is there
    const Sight sight = sight_of(spans[warp_row], spans[warp_row + 15], key, key + Shape::kKeys);
    if (sight != Sight::none)
      rows.add(queries, output_gradients, keys_of(stage), values_of(stage), spans, key, sight);
    __syncthreads();  // nobody needs this stage any more
  }
  copy_async_wait_all();
  rows.finish(b, head, row_begin + warp_row, queries);
}

}  // namespace omni::cuda
