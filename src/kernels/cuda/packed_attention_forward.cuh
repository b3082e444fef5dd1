#pragma once

#include "head_rows.cuh"
#include "packed_attention_spans.cuh"

// The forward pass after FlashAttention-2 (Dao 2023, arXiv 2307.08691): a block owns a tile of queries of one
// head and walks over the tiles of keys that these see; each warp keeps its rows' output, largest score and
// sum in registers. While scores are computed the values arrive, while these are added the next keys.
namespace omni::cuda {

template <class T, int kHead>
struct ForwardShape {
  static constexpr int kWarps = 4;
  // Two row tiles per warp share each fragment of keys and values; larger heads leave registers for one. At
  // head size 128 scores of 64 keys would spill.
  static constexpr int kRowTiles = kHead <= 128 ? 2 : 1;
  static constexpr int kThreads = kWarps * kWarp;
  static constexpr int kQueries = kWarps * kRowTiles * 16;
  static constexpr int kKeys = kHead == 128 ? 48 : 64;
  using QueryTile = SharedTile<T, kQueries, kHead>;
  using KeyTile = SharedTile<T, kKeys, kHead>;
  using Spans = Span[kQueries];
  static constexpr int kSharedBytes =
      QueryTile::kBytes + 2 * KeyTile::kBytes + static_cast<int>(sizeof(Spans));
};

// One warp's rows: what the online softmax carries from tile to tile.
template <class T, int kHead>
class ForwardRows {
 public:
  using Shape = ForwardShape<T, kHead>;
  static constexpr int kRowTiles = Shape::kRowTiles;
  static constexpr int kKeyTiles = Shape::kKeys / 8;
  using Scores = float[kRowTiles][kKeyTiles][4];

  __device__ __forceinline__ ForwardRows(float scale, int lane) : scale_(scale), lane_(lane) {
    clear(output_);
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m)
      largest_[m][0] = largest_[m][1] = minus_infinity(), sum_[m][0] = sum_[m][1] = 0;
  }

  // spans: of the warp's rows; key: of the tile's first column.
  __device__ __forceinline__ void hide_unseen(Scores& scores, const Span* spans, int key) const {
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const Span span = spans[16 * m + 8 * half + lane_ / 4];
#pragma unroll
        for (int n = 0; n < kKeyTiles; ++n)
#pragma unroll
          for (int i = 0; i < 2; ++i)
            if (!span.sees(key + 8 * n + lane_ % 4 * 2 + i)) scores[m][n][2 * half + i] = minus_infinity();
      }
  }

  // Turns scores into weights relative to the largest score so far and rescales what was summed before.
  __device__ __forceinline__ void soften(Scores& scores) {
    const float scale = scale_ * kLog2E;
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float largest = largest_[m][half];
#pragma unroll
        for (int n = 0; n < kKeyTiles; ++n)
          largest = fmaxf(largest, fmaxf(scores[m][n][2 * half], scores[m][n][2 * half + 1]));
        largest = group_max<2>(largest);
        // A row that has seen nothing yet keeps its zeros.
        const float origin = largest == minus_infinity() ? 0.0f : largest * scale;
        const float correction = exp2_approximate(largest_[m][half] * scale - origin);
        float sum = sum_[m][half] * correction;
#pragma unroll
        for (int n = 0; n < kKeyTiles; ++n)
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) {
            scores[m][n][i] = exp2_approximate(scores[m][n][i] * scale - origin);
            sum += scores[m][n][i];
          }
#pragma unroll
        for (int n = 0; n < kHead / 8; ++n)
          output_[m][n][2 * half] *= correction, output_[m][n][2 * half + 1] *= correction;
        largest_[m][half] = largest;
        sum_[m][half] = sum;
      }
  }

  __device__ __forceinline__ void add_values(const Scores& weights, const typename Shape::KeyTile& values) {
    multiply_accumulators<T>(output_, weights, values, lane_);
  }

  // Writes the warp's rows from `row` on, through its rows of the tile of queries.
  __device__ __forceinline__ void finish(const OmniCudaAttention& a, int head, int row,
                                         const typename Shape::QueryTile& tile, int tile_row) {
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      const int first = row + 16 * m;
      float factor[2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float sum = group_sum<2>(sum_[m][half]);
        factor[half] = sum == 0 ? 0.0f : 1.0f / sum;
        const int i = first + 8 * half + lane_ / 4;
        if (lane_ % 4 == 0 && i < a.query_rows)
          a.log_sum[static_cast<std::int64_t>(head) * a.query_rows + i] =
              sum == 0 ? minus_infinity() : largest_[m][half] * scale_ + logf(sum);
      }
      T* output = static_cast<T*>(a.output.data) + head * a.output.head_stride + first * a.output.row_stride;
      store_rows(TargetRows<T>{output, a.output.row_stride, a.query_rows - first, a.head_size}, output_[m],
                 factor, tile, tile_row + 16 * m, lane_);
    }
  }

 private:
  float output_[kRowTiles][kHead / 8][4];
  float largest_[kRowTiles][2];  // unscaled
  float sum_[kRowTiles][2];      // of this thread's columns
  float scale_;
  int lane_;
};

// One block per tile of queries (x, the last ones first: with causal masks they take longest) and head (y).
template <class T, int kHead>
__global__ void __launch_bounds__(ForwardShape<T, kHead>::kThreads) attention_forward(OmniCudaAttention a) {
  using Shape = ForwardShape<T, kHead>;
  OMNI_SHARED(T, shared);
  const typename Shape::QueryTile queries{shared};
  const typename Shape::KeyTile keys{queries.data + Shape::QueryTile::kBytes / 2};
  const typename Shape::KeyTile values{keys.data + Shape::KeyTile::kBytes / 2};
  auto& spans = *reinterpret_cast<typename Shape::Spans*>(values.data + Shape::KeyTile::kBytes / 2);

  const int head = static_cast<int>(blockIdx.y), key_head = head / (a.heads / a.key_value_heads);
  const int row_begin = static_cast<int>(gridDim.x - 1 - blockIdx.x) * Shape::kQueries;
  const int row_end = min(row_begin + Shape::kQueries, a.query_rows);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
  const int warp_row = thread / kWarp * 16 * Shape::kRowTiles;  // in the tile

  auto tiles = KeyTiles<Shape::kKeys>::over(a, row_begin, row_end, spans);
  const auto copy_keys = [&](const OmniCudaHeads& from, const typename Shape::KeyTile& to, int key) {
    copy_tile_async<Shape::kThreads>(to, global_rows<T>(from, key_head, key, a.key_rows, a.head_size));
    copy_async_commit();
  };
  if (!tiles.done()) {
    copy_tile_async<Shape::kThreads>(queries,
                                     global_rows<T>(a.query, head, row_begin, a.query_rows, a.head_size));
    copy_keys(a.key, keys, tiles.key());
  }

  ForwardRows<T, kHead> rows(a.scale, lane);
  while (!tiles.done()) {
    const int key = tiles.key();
    copy_async_wait<0>();
    __syncthreads();  // these keys are there, and nobody needs the last values any more
    copy_keys(a.value, values, key);
    const Sight sight =
        sight_of(spans[warp_row], spans[warp_row + 16 * Shape::kRowTiles - 1], key, key + Shape::kKeys);
    typename ForwardRows<T, kHead>::Scores scores;
    clear(scores);
    if (sight != Sight::none) multiply_rows<T, 8>(scores, queries, warp_row, keys, lane);
    if (sight == Sight::some) rows.hide_unseen(scores, spans + warp_row, key);
    copy_async_wait<0>();
    __syncthreads();  // the values are there, and nobody needs these keys any more
    tiles.next(spans);
    if (!tiles.done()) copy_keys(a.key, keys, tiles.key());
    if (sight != Sight::none) {
      rows.soften(scores);
      rows.add_values(scores, values);
    }
  }
  rows.finish(a, head, row_begin + warp_row, queries, warp_row);
}

}  // namespace omni::cuda
