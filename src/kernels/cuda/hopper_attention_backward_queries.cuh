#pragma once

#include "hopper_attention.cuh"
#include "packed_attention_backward_tile.cuh"

// The gradient of the queries on Hopper: as in the forward pass, a block owns 128 queries of one head and walks
// over the tiles of keys that these see.
namespace omni::cuda {

template <int kHead>
struct HopperQueryShape {
  static constexpr int kKeys = 64;
  static constexpr int kStages = 2;
  using QueryTile = PanelTile<kHopperRows, kHead>;
  using KeyTile = PanelTile<kKeys, kHead>;
  using OutputTile = SharedTile<__nv_bfloat16, kHopperRows, kHead>;
  struct Control {
    SharedBarrier full[kStages], free[kStages];
    int key[kStages];  // the first one of the tile; -1: there are no more
  };
  static constexpr int kSharedBytes = kSwizzleAtomBytes + 2 * QueryTile::kBytes +
                                      2 * kStages * KeyTile::kBytes + OutputTile::kBytes +
                                      static_cast<int>(sizeof(Control));
};

struct HopperBackward {
  TensorMap query, key, value, output_gradient;  // boxes of as many rows as the kernel's tiles have
  OmniCudaAttentionBackward attention;
};

template <int kHead>
struct HopperQueryMemory {
  using Shape = HopperQueryShape<kHead>;
  typename Shape::QueryTile queries, output_gradients;
  TileRing<typename Shape::KeyTile> keys, values;
  typename Shape::OutputTile output;
  typename Shape::Control& control;

  __device__ __forceinline__ explicit HopperQueryMemory(SharedParts parts)
      : queries(parts.panels<typename Shape::QueryTile>()),
        output_gradients(parts.panels<typename Shape::QueryTile>()),
        keys(parts.ring<typename Shape::KeyTile, Shape::kStages>()),
        values(parts.ring<typename Shape::KeyTile, Shape::kStages>()),
        output{reinterpret_cast<__nv_bfloat16*>(parts.take(Shape::OutputTile::kBytes))},
        control(*reinterpret_cast<typename Shape::Control*>(parts.take(sizeof(typename Shape::Control)))) {}

  __device__ __forceinline__ void prepare() const { prepare_ring(control.full, control.free, 1); }
};

// A thread's share of the gradient of its group's queries.
template <int kHead>
class HopperQueryRows {
 public:
  using Shape = HopperQueryShape<kHead>;
  static constexpr int kKeyTiles = Shape::kKeys / 8;
  using Weights = float[kKeyTiles][4];

  // group_row: of the group's first query in the tensor.
  __device__ __forceinline__ HopperQueryRows(const OmniCudaAttentionBackward& b, int head, int group_row)
      : spans_(b.forward, group_row), scale_(b.forward.scale) {
    clear(gradient_);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int i = group_row + ConsumerPlace::row() + 8 * half;
      numbers_[half] = i < b.forward.query_rows ? query_numbers(b, head)[i] : QueryNumbers{0, 0};
    }
  }

  __device__ __forceinline__ Sight sight(int key) const {
    return sight_of(spans_.first, spans_.last, key, key + Shape::kKeys);
  }

  __device__ __forceinline__ void add(const HopperQueryMemory<kHead>& memory, int stage, int key,
                                      Sight sight) {
    Weights weights, gradient;
    begin_products(weights, gradient);
    multiply_tiles(weights, memory.queries, ConsumerPlace::group_row(), memory.keys[stage]);
    multiply_tiles(gradient, memory.output_gradients, ConsumerPlace::group_row(), memory.values[stage]);
    wait_products<1>(weights);
    weigh(weights, key, sight);
    wait_products<0>(gradient);
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) weights[n][i] *= gradient[n][i] - numbers_[i / 2].delta;
    unsigned left[kKeyTiles / 2][4];
    round_to_left(left, weights);
    begin_products(gradient_, left);
    multiply_left(gradient_, left, memory.keys[stage]);
    commit_products();
    wait_products<0>(gradient_, left);
  }

  // row: of the warp's first query in the tensor.
  __device__ __forceinline__ void finish(const OmniCudaAttentionBackward& b, int head, int row,
                                         const typename Shape::OutputTile& tile) const {
    const OmniCudaHeads& to = b.query_gradient;
    __nv_bfloat16* const target =
        static_cast<__nv_bfloat16*>(to.data) + head * to.head_stride + row * to.row_stride;
    const float factor[2] = {scale_, scale_};
    store_rows(
        TargetRows<__nv_bfloat16>{target, to.row_stride, b.forward.query_rows - row, b.forward.head_size},
        gradient_, factor, tile, ConsumerPlace::warp_row(), ConsumerPlace::lane());
  }

 private:
  // Scores to softmax weights, with the logarithm of the sum that the forward pass left.
  __device__ __forceinline__ void weigh(Weights& weights, int key, Sight sight) const {
    const float scale = scale_ * kLog2E;
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        weights[n][i] = exp2_approximate(weights[n][i] * scale - numbers_[i / 2].log2_sum);
    if (sight == Sight::all) return;
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (!spans_.own[i / 2].sees(key + sum_column(n, i))) weights[n][i] = 0;
  }

  float gradient_[kHead / 8][4];
  QueryNumbers numbers_[2];
  GroupSpans spans_;
  float scale_;
};

// One thread has the queries, their output gradients and the visited keys and values copied.
template <int kHead>
__device__ __forceinline__ void produce_keys(const HopperBackward& call, int head, int row_begin,
                                             const HopperQueryMemory<kHead>& memory) {
  using Shape = HopperQueryShape<kHead>;
  const OmniCudaAttention& a = call.attention.forward;
  const int key_head = head / (a.heads / a.key_value_heads);
  auto& control = memory.control;
  RingPlace<Shape::kStages> place;
  unsigned query_bytes = 2 * Shape::QueryTile::kBytes;  // come with the first keys
  for (SeenKeyTiles<Shape::kKeys> tiles(row_spans(a), row_begin, min(row_begin + kHopperRows, a.query_rows));
       !tiles.done(); tiles.next(), place.next()) {
    const int stage = place.stage;
    SharedBarrier& full = control.full[stage];
    control.free[stage].wait(place.phase ^ 1);
    control.key[stage] = tiles.key();
    full.arrive_expecting(2 * Shape::KeyTile::kBytes + query_bytes);
    if (query_bytes > 0) {
      copy_panels(memory.queries, call.query, full, head, row_begin);
      copy_panels(memory.output_gradients, call.output_gradient, full, head, row_begin);
    }
    query_bytes = 0;
    copy_panels(memory.keys[stage], call.key, full, key_head, tiles.key());
    copy_panels(memory.values[stage], call.value, full, key_head, tiles.key());
  }
  control.free[place.stage].wait(place.phase ^ 1);
  control.key[place.stage] = -1;
  control.full[place.stage].arrive();
}

template <int kHead>
__device__ __forceinline__ void consume_keys(const HopperBackward& call, int head, int row_begin,
                                             const HopperQueryMemory<kHead>& memory) {
  using Shape = HopperQueryShape<kHead>;
  auto& control = memory.control;
  HopperQueryRows<kHead> rows(call.attention, head, row_begin + ConsumerPlace::group_row());
  for (RingPlace<Shape::kStages> place;; place.next()) {
    control.full[place.stage].wait(place.phase);
    const int key = control.key[place.stage];
    if (key < 0) break;
    const Sight sight = rows.sight(key);
    if (sight != Sight::none) rows.add(memory, place.stage, key, sight);
    leave_stage(control.free[place.stage]);
  }
  rows.finish(call.attention, head, row_begin + ConsumerPlace::warp_row(), memory.output);
}

// One block per tile of queries (x, the last ones first) and head (y).
template <int kHead>
__global__ void __launch_bounds__(kHopperThreads, 1)
    hopper_attention_query_gradient(const __grid_constant__ HopperBackward call) {
#if OMNI_HOPPER_DEVICE_CODE
  OMNI_SHARED(unsigned char, shared);
  const HopperQueryMemory<kHead> memory{SharedParts(shared)};
  const int head = static_cast<int>(blockIdx.y);
  const int row_begin = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kHopperRows;
  share_work<1>(
      memory, [&] { produce_keys<kHead>(call, head, row_begin, memory); },
      [&] { consume_keys<kHead>(call, head, row_begin, memory); });
#else
  __trap();
#endif
}

}  // namespace omni::cuda
