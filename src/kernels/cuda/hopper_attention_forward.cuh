#pragma once

#include "hopper_attention.cuh"

// The forward pass on Hopper: a block owns 128 queries of one head and walks over the tiles of keys that these
// see.
namespace omni::cuda {

template <int kHead>
struct HopperForwardShape {
  static constexpr int kKeys = 128;
  static constexpr int kStages = 2;
  using QueryTile = PanelTile<kHopperRows, kHead>;
  using KeyTile = PanelTile<kKeys, kHead>;
  using OutputTile = SharedTile<__nv_bfloat16, kHopperRows, kHead>;
  struct Control {
    SharedBarrier key_full[kStages], key_free[kStages], value_full[kStages], value_free[kStages];
    int key[kStages];  // the first one of the tile; -1: there are no more
  };
  static constexpr int kSharedBytes = kSwizzleAtomBytes + QueryTile::kBytes + 2 * kStages * KeyTile::kBytes +
                                      OutputTile::kBytes + static_cast<int>(sizeof(Control));
};

struct HopperForward {
  TensorMap query, key, value;
  OmniCudaAttention attention;
};

template <int kHead>
struct HopperForwardMemory {
  using Shape = HopperForwardShape<kHead>;
  typename Shape::QueryTile queries;
  TileRing<typename Shape::KeyTile> keys, values;
  typename Shape::OutputTile output;
  typename Shape::Control& control;

  __device__ __forceinline__ explicit HopperForwardMemory(SharedParts parts)
      : queries(parts.panels<typename Shape::QueryTile>()),
        keys(parts.ring<typename Shape::KeyTile, Shape::kStages>()),
        values(parts.ring<typename Shape::KeyTile, Shape::kStages>()),
        output{reinterpret_cast<__nv_bfloat16*>(parts.take(Shape::OutputTile::kBytes))},
        control(*reinterpret_cast<typename Shape::Control*>(parts.take(sizeof(typename Shape::Control)))) {}

  __device__ __forceinline__ void prepare() const {
    prepare_ring(control.key_full, control.key_free, 1);
    prepare_ring(control.value_full, control.value_free, 1);
  }
};

// What the online softmax carries from tile to tile, for a thread's two rows.
template <int kHead>
class HopperForwardRows {
 public:
  using Shape = HopperForwardShape<kHead>;
  using Scores = float[Shape::kKeys / 8][4];

  __device__ __forceinline__ HopperForwardRows(float scale) : scale_(scale) { clear(output_); }

  __device__ __forceinline__ void hide_unseen(Scores& scores, const GroupSpans& spans, int key) const {
#pragma unroll
    for (int n = 0; n < Shape::kKeys / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (!spans.own[i / 2].sees(key + sum_column(n, i))) scores[n][i] = minus_infinity();
  }

  // Turns scores into weights relative to the largest score so far and rescales what was summed before.
  __device__ __forceinline__ void soften(Scores& scores) {
    const float scale = scale_ * kLog2E;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = largest_[half];
#pragma unroll
      for (int n = 0; n < Shape::kKeys / 8; ++n)
        largest = fmaxf(largest, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
      largest = group_max<2>(largest);
      // A row that has seen nothing yet keeps its zeros.
      const float origin = largest == minus_infinity() ? 0.0f : largest * scale;
      const float correction = exp2_approximate(largest_[half] * scale - origin);
      float sum = sum_[half] * correction;
#pragma unroll
      for (int n = 0; n < Shape::kKeys / 8; ++n)
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          scores[n][i] = exp2_approximate(scores[n][i] * scale - origin);
          sum += scores[n][i];
        }
#pragma unroll
      for (int n = 0; n < kHead / 8; ++n)
        output_[n][2 * half] *= correction, output_[n][2 * half + 1] *= correction;
      largest_[half] = largest;
      sum_[half] = sum;
    }
  }

  __device__ __forceinline__ void add_values(const Scores& weights, const typename Shape::KeyTile& values) {
    unsigned left[Shape::kKeys / 16][4];
    round_to_left(left, weights);
    begin_products(output_, left);
    multiply_left(output_, left, values);
    commit_products();
    wait_products<0>(output_, left);
  }

  // row: of the warp's first row in the tensor.
  __device__ __forceinline__ void finish(const OmniCudaAttention& a, int head, int row,
                                         const typename Shape::OutputTile& tile) const {
    float factor[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float sum = group_sum<2>(sum_[half]);
      factor[half] = sum == 0 ? 0.0f : 1.0f / sum;
      const int i = row + 8 * half + ConsumerPlace::lane() / 4;
      if (ConsumerPlace::lane() % 4 == 0 && i < a.query_rows)
        a.log_sum[static_cast<std::int64_t>(head) * a.query_rows + i] =
            sum == 0 ? minus_infinity() : largest_[half] * scale_ + logf(sum);
    }
    __nv_bfloat16* const output =
        static_cast<__nv_bfloat16*>(a.output.data) + head * a.output.head_stride + row * a.output.row_stride;
    store_rows(TargetRows<__nv_bfloat16>{output, a.output.row_stride, a.query_rows - row, a.head_size},
               output_, factor, tile, ConsumerPlace::warp_row(), ConsumerPlace::lane());
  }

 private:
  float output_[kHead / 8][4];
  float largest_[2] = {minus_infinity(), minus_infinity()};  // unscaled
  float sum_[2] = {0, 0};                                    // of this thread's columns
  float scale_;
};

// One thread has the queries and the visited keys and values copied.
template <int kHead>
__device__ __forceinline__ void produce_forward(const HopperForward& call, int head, int row_begin,
                                                const HopperForwardMemory<kHead>& memory) {
  using Shape = HopperForwardShape<kHead>;
  const OmniCudaAttention& a = call.attention;
  const int key_head = head / (a.heads / a.key_value_heads);
  auto& control = memory.control;
  RingPlace<Shape::kStages> place;
  unsigned query_bytes = Shape::QueryTile::kBytes;  // come with the first keys
  for (SeenKeyTiles<Shape::kKeys> tiles(row_spans(a), row_begin, min(row_begin + kHopperRows, a.query_rows));
       !tiles.done(); tiles.next(), place.next()) {
    const int stage = place.stage;
    control.key_free[stage].wait(place.phase ^ 1);
    control.key[stage] = tiles.key();
    control.key_full[stage].arrive_expecting(Shape::KeyTile::kBytes + query_bytes);
    if (query_bytes > 0) copy_panels(memory.queries, call.query, control.key_full[stage], head, row_begin);
    query_bytes = 0;
    copy_panels(memory.keys[stage], call.key, control.key_full[stage], key_head, tiles.key());
    control.value_free[stage].wait(place.phase ^ 1);
    control.value_full[stage].arrive_expecting(Shape::KeyTile::kBytes);
    copy_panels(memory.values[stage], call.value, control.value_full[stage], key_head, tiles.key());
  }
  control.key_free[place.stage].wait(place.phase ^ 1);
  control.key[place.stage] = -1;
  control.key_full[place.stage].arrive();
}

template <int kHead>
__device__ __forceinline__ void consume_forward(const HopperForward& call, int head, int row_begin,
                                                const HopperForwardMemory<kHead>& memory) {
  using Shape = HopperForwardShape<kHead>;
  const OmniCudaAttention& a = call.attention;
  auto& control = memory.control;
  const GroupSpans spans(a, row_begin + ConsumerPlace::group_row());
  HopperForwardRows<kHead> rows(a.scale);
  for (RingPlace<Shape::kStages> place;; place.next()) {
    const int stage = place.stage;
    control.key_full[stage].wait(place.phase);
    const int key = control.key[stage];
    if (key < 0) break;
    const Sight sight = sight_of(spans.first, spans.last, key, key + Shape::kKeys);
    typename HopperForwardRows<kHead>::Scores scores;
    if (sight != Sight::none) {
      begin_products(scores);
      multiply_tiles(scores, memory.queries, ConsumerPlace::group_row(), memory.keys[stage]);
      wait_products<0>(scores);
    }
    leave_stage(control.key_free[stage]);
    if (sight == Sight::some) rows.hide_unseen(scores, spans, key);
    if (sight != Sight::none) rows.soften(scores);
    control.value_full[stage].wait(place.phase);
    if (sight != Sight::none) rows.add_values(scores, memory.values[stage]);
    leave_stage(control.value_free[stage]);
  }
  rows.finish(a, head, row_begin + ConsumerPlace::warp_row(), memory.output);
}

// One block per tile of queries (x, the last ones first: with causal masks they take longest) and head (y).
template <int kHead>
__global__ void __launch_bounds__(kHopperThreads, 1)
    hopper_attention_forward(const __grid_constant__ HopperForward call) {
#if OMNI_HOPPER_DEVICE_CODE
  OMNI_SHARED(unsigned char, shared);
  const HopperForwardMemory<kHead> memory{SharedParts(shared)};
  const int head = static_cast<int>(blockIdx.y);
  const int row_begin = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kHopperRows;
  share_work<1>(
      memory, [&] { produce_forward<kHead>(call, head, row_begin, memory); },
      [&] { consume_forward<kHead>(call, head, row_begin, memory); });
#else
  __trap();
#endif
}

}  // namespace omni::cuda
