#pragma once

#include "hopper_attention_backward_queries.cuh"

// Gradients of keys and values on Hopper: a block owns 128 keys of one key-value head and walks over the queries
// that see them, of all heads that share it. Scores are computed with keys as rows, so that weights and their
// gradients are, in registers, the left factors of the products that sum into value and key gradients.
namespace omni::cuda {

// A span told so that one comparison answers, which is what registers are left for.
struct CountedSpan {
  int first;
  unsigned count;
  __device__ __forceinline__ static CountedSpan of(const Span& span) {
    return {span.first, static_cast<unsigned>(max(span.last - span.first, 0))};
  }
  __device__ __forceinline__ bool sees(int key) const { return static_cast<unsigned>(key - first) < count; }
  __device__ __forceinline__ Span span() const { return {first, first + static_cast<int>(count)}; }
};

template <int kHead>
struct HopperKeyShape {
  static constexpr int kQueries = 64;
  static constexpr int kStages = 2;
  using KeyTile = PanelTile<kHopperRows, kHead>;
  using QueryTile = PanelTile<kQueries, kHead>;
  using OutputTile = SharedTile<__nv_bfloat16, kHopperRows, kHead>;
  // What comes with a stage's queries; past the last row there are numbers of 0, whose rows add nothing.
  struct Rows {
    float log2_sum[kQueries], delta[kQueries];
    CountedSpan spans[kQueries];
  };
  struct Control {
    Rows rows[kStages];
    SharedBarrier full[kStages], free[kStages];
    int holds_queries[kStages];  // 0: there are no more
  };
  static constexpr int kSharedBytes = kSwizzleAtomBytes + 2 * KeyTile::kBytes +
                                      2 * kStages * QueryTile::kBytes + OutputTile::kBytes +
                                      static_cast<int>(sizeof(Control));
};

template <int kHead>
struct HopperKeyMemory {
  using Shape = HopperKeyShape<kHead>;
  typename Shape::KeyTile keys, values;
  TileRing<typename Shape::QueryTile> queries, output_gradients;
  typename Shape::OutputTile output;
  typename Shape::Control& control;

  __device__ __forceinline__ explicit HopperKeyMemory(SharedParts parts)
      : keys(parts.panels<typename Shape::KeyTile>()),
        values(parts.panels<typename Shape::KeyTile>()),
        queries(parts.ring<typename Shape::QueryTile, Shape::kStages>()),
        output_gradients(parts.ring<typename Shape::QueryTile, Shape::kStages>()),
        output{reinterpret_cast<__nv_bfloat16*>(parts.take(Shape::OutputTile::kBytes))},
        control(*reinterpret_cast<typename Shape::Control*>(parts.take(sizeof(typename Shape::Control)))) {}

  __device__ __forceinline__ void prepare() const { prepare_ring(control.full, control.free, kWarp); }
};

// A thread's share of the gradients of its group's keys and values.
template <int kHead>
class HopperKeyRows {
 public:
  using Shape = HopperKeyShape<kHead>;
  static constexpr int kQueryTiles = Shape::kQueries / 8;
  using Weights = float[kQueryTiles][4];

  // key: the group's first one in the tensor.
  __device__ __forceinline__ HopperKeyRows(float scale, int key) : scale_(scale), key_(key) {
    clear(key_gradient_);
    clear(value_gradient_);
  }

  __device__ __forceinline__ Sight sight(const typename Shape::Rows& rows) const {
    return sight_of(rows.spans[0].span(), rows.spans[Shape::kQueries - 1].span(), key_, key_ + kGroupRows);
  }

  __device__ __forceinline__ void add(const HopperKeyMemory<kHead>& memory, int stage, Sight sight) {
    const typename Shape::Rows& rows = memory.control.rows[stage];
    Weights weights, gradient;
    begin_products(weights, gradient);
    multiply_tiles(weights, memory.keys, ConsumerPlace::group_row(), memory.queries[stage]);
    multiply_tiles(gradient, memory.values, ConsumerPlace::group_row(), memory.output_gradients[stage]);
    wait_products<1>(weights);
    weigh(weights, rows, sight);
    unsigned left[kQueryTiles / 2][4], left_gradient[kQueryTiles / 2][4];
    round_to_left(left, weights);
    wait_products<0>(gradient);
    // While the values' gradient is summed the scores' gradient is computed.
    begin_products(value_gradient_, left);
    multiply_left(value_gradient_, left, memory.output_gradients[stage]);
    commit_products();
#pragma unroll
    for (int n = 0; n < kQueryTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) weights[n][i] *= gradient[n][i] - rows.delta[column(n, i)];
    round_to_left(left_gradient, weights);
    begin_products(key_gradient_, left_gradient);
    multiply_left(key_gradient_, left_gradient, memory.queries[stage]);
    commit_products();
    wait_products<0>(value_gradient_, key_gradient_, left, left_gradient);
  }

  __device__ __forceinline__ void finish(const OmniCudaAttentionBackward& b, int head,
                                         const typename Shape::OutputTile& tile) const {
    store(b, b.key_gradient, head, key_gradient_, scale_, tile);
    store(b, b.value_gradient, head, value_gradient_, 1.0f, tile);
  }

 private:
  __device__ __forceinline__ int column(int n, int i) const { return sum_column(n, i); }

  // Scores to softmax weights, with the logarithm of the sum that the forward pass left.
  __device__ __forceinline__ void weigh(Weights& weights, const typename Shape::Rows& rows,
                                        Sight sight) const {
    const float scale = scale_ * kLog2E;
    const int own = key_ + ConsumerPlace::row();
#pragma unroll
    for (int n = 0; n < kQueryTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        weights[n][i] = exp2_approximate(weights[n][i] * scale - rows.log2_sum[column(n, i)]);
    if (sight == Sight::all) return;
#pragma unroll
    for (int n = 0; n < kQueryTiles; ++n) {
      // Keeps ptxas from loading the spans of later columns early, for which there are no registers.
      __syncwarp();
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (!rows.spans[column(n, i)].sees(own + i / 2 * 8)) weights[n][i] = 0;
    }
  }

  __device__ __forceinline__ void store(const OmniCudaAttentionBackward& b, const OmniCudaHeads& to, int head,
                                        const float (&sums)[kHead / 8][4], float scale,
                                        const typename Shape::OutputTile& tile) const {
    const int key = key_ + ConsumerPlace::warp_row() - ConsumerPlace::group_row();
    __nv_bfloat16* const target =
        static_cast<__nv_bfloat16*>(to.data) + head * to.head_stride + key * to.row_stride;
    const float factor[2] = {scale, scale};
    store_rows(
        TargetRows<__nv_bfloat16>{target, to.row_stride, b.forward.key_rows - key, b.forward.head_size}, sums,
        factor, tile, ConsumerPlace::warp_row(), ConsumerPlace::lane());
  }

  float key_gradient_[kHead / 8][4], value_gradient_[kHead / 8][4];
  float scale_;
  int key_;
};

// Leaves the numbers and spans of the rows from `row` on beside a stage. All lanes of a warp call it together.
template <int kQueries, class Rows>
__device__ __forceinline__ void leave_row_numbers(const OmniCudaAttentionBackward& b, int head, int row,
                                                  Rows& rows) {
  const int last = b.forward.query_rows - 1;
#pragma unroll
  for (int i = static_cast<int>(threadIdx.x) % kWarp; i < kQueries; i += kWarp) {
    const QueryNumbers numbers = row + i <= last ? query_numbers(b, head)[row + i] : QueryNumbers{0, 0};
    rows.log2_sum[i] = numbers.log2_sum;
    rows.delta[i] = numbers.delta;
    rows.spans[i] = CountedSpan::of(span_of(b.forward, min(row + i, last)));
  }
}

// One warp has the keys, the values and the queries that see them copied, with their output gradients.
template <int kHead>
__device__ __forceinline__ void produce_queries(const HopperBackward& call, int key_head, int key_begin,
                                                const HopperKeyMemory<kHead>& memory) {
  using Shape = HopperKeyShape<kHead>;
  const OmniCudaAttention& a = call.attention.forward;
  const bool copies = threadIdx.x % kWarp == 0;
  auto& control = memory.control;
  RingPlace<Shape::kStages> place;
  unsigned key_bytes = 2 * Shape::KeyTile::kBytes;  // come with the first queries
  for (auto tiles = queries_seeing<kHopperRows, Shape::kQueries>(a, key_begin, key_head); !tiles.done();
       tiles.next(), place.next()) {
    const int stage = place.stage;
    SharedBarrier& full = control.full[stage];
    control.free[stage].wait(place.phase ^ 1);
    leave_row_numbers<Shape::kQueries>(call.attention, tiles.head(), tiles.row(), control.rows[stage]);
    if (copies) {
      control.holds_queries[stage] = 1;
      full.arrive_expecting(2 * Shape::QueryTile::kBytes + key_bytes);
      if (key_bytes > 0) {
        copy_panels(memory.keys, call.key, full, key_head, key_begin);
        copy_panels(memory.values, call.value, full, key_head, key_begin);
      }
      copy_panels(memory.queries[stage], call.query, full, tiles.head(), tiles.row());
      copy_panels(memory.output_gradients[stage], call.output_gradient, full, tiles.head(), tiles.row());
    } else {
      full.arrive();
    }
    key_bytes = 0;
  }
  control.free[place.stage].wait(place.phase ^ 1);
  if (copies) control.holds_queries[place.stage] = 0;
  control.full[place.stage].arrive();
}

template <int kHead>
__device__ __forceinline__ void consume_queries(const HopperBackward& call, int key_head, int key_begin,
                                                const HopperKeyMemory<kHead>& memory) {
  using Shape = HopperKeyShape<kHead>;
  auto& control = memory.control;
  HopperKeyRows<kHead> rows(call.attention.forward.scale, key_begin + ConsumerPlace::group_row());
  for (RingPlace<Shape::kStages> place;; place.next()) {
    const int stage = place.stage;
    control.full[stage].wait(place.phase);
    if (!control.holds_queries[stage]) break;
    const Sight sight = rows.sight(control.rows[stage]);
    if (sight != Sight::none) rows.add(memory, stage, sight);
    leave_stage(control.free[stage]);
  }
  rows.finish(call.attention, key_head, memory.output);
}

// One block per tile of keys (x) and key-value head (y).
template <int kHead>
__global__ void __launch_bounds__(kHopperThreads, 1)
    hopper_attention_key_gradient(const __grid_constant__ HopperBackward call) {
#if OMNI_HOPPER_DEVICE_CODE
  OMNI_SHARED(unsigned char, shared);
  const HopperKeyMemory<kHead> memory{SharedParts(shared)};
  const int key_head = static_cast<int>(blockIdx.y), key_begin = static_cast<int>(blockIdx.x) * kHopperRows;
  share_work<kWarp>(
      memory, [&] { produce_queries<kHead>(call, key_head, key_begin, memory); },
      [&] { consume_queries<kHead>(call, key_head, key_begin, memory); });
#else
  __trap();
#endif
}

}  // namespace omni::cuda
