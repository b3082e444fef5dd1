#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "omni/kernels/fused_kernels.h"
#include "omni/kernels/rotary_attention.h"
#include "omni/nn/cast_weights.h"
#include "omni/nn/decoder_shape.h"
#include "omni/nn/low_rank.h"
#include "omni/nn/parameters.h"
#include "omni/nn/recomputation.h"

namespace omni::nn {

// What linear layers are called for. Absent: many rows, with gradients. A format: the rows of a decoding
// step, usually few, without gradients, on the CPU through kernels that read the weight once in that format
// and give each row the same result whatever other rows there are.
using Decoding = std::optional<kernels::DecodeFormat>;

// What training leaves out of the outputs of attention and MLP, which are two places of each stream.
struct Dropout {
  double rate = 0;        // 0: nothing
  std::uint64_t key = 0;  // the masks are a function of it: blocks and micro-batches have their own
  // [streams, places] int64: dropout_key() of each, to be read where the rows are when they are dropped from, in
  // place of those that come of `key`; undefined: these.
  Tensor keys;
};
constexpr std::int64_t kDropoutPlaces = 2;
std::uint64_t dropout_key(std::uint64_t key, std::uint64_t stream, std::uint64_t place);

// How blocks are run.
struct BlockPass {
  at::ScalarType type = at::kFloat;  // of the activations
  Decoding decoding;
  Dropout dropout;
  kernels::FusedKernels fused;  // of norm, rotation and SwiGLU
  Recomputation recomputation;  // of parts, in training
  // [k] int64: the rows that go on after the attention, of a block of one stream; undefined: all.
  Tensor kept_rows;
};

// A linear layer whose weight is cast to the type of its input once per change.
struct CastLinear {
  CastWeight weight;
  Tensor bias;
  LowRankAdapter adapter;  // undefined where there is none
  CastLinear() = default;
  // stacked_rows as in ParameterTraits; empty for a single matrix.
  CastLinear(const ParameterScope& scope, std::int64_t in, std::int64_t out, bool with_bias,
             double standard_deviation, std::vector<std::int64_t> stacked_rows = {});
  bool defined() const { return weight.defined(); }
  Tensor operator()(const Tensor& x, Decoding decoding = {}) const;  // [N, in] -> [N, out]
};

// One stream's rows on their way through the blocks: the fp32 residual and the output of the last layer that
// has not been added to it yet, so that adding and the next norm are one pass.
struct StreamRows {
  Tensor residual;  // [rows, width] fp32
  Tensor delta;     // [rows, width] in the activation type; undefined at the start
};

// One stream's weights of one block: norm, attention projections, norm, SwiGLU. With `keys_only` the stream
// gives keys and values and nothing after the attention.
struct StreamLayers {
  Tensor attention_norm, mlp_norm;  // undefined without scale
  Tensor query_norm, key_norm;      // [head size], undefined without q/k norm; query_norm also with keys_only
  CastLinear qkv;                   // keys and values only with keys_only
  CastLinear attention_out, gate_up, down;
  bool keys_only = false;

  StreamLayers() = default;
  StreamLayers(const ParameterScope& scope, const DecoderShape& shape, std::int64_t block_count,
               bool keys_only);

  // Norm and projection to queries, keys and values [rows, qkv_width] (query columns are zero with
  // keys_only).
  Tensor project(StreamRows& rows, const DecoderShape& shape, const BlockPass& pass) const;
  // Everything after the attention, from its output [rows, query_width].
  void finish(StreamRows& rows, const Tensor& attended, const DecoderShape& shape,
              const BlockPass& pass) const;

 private:
  Tensor mlp(const Tensor& x, const BlockPass& pass) const;
  // Of rows that are normed on the way, or not.
  Tensor recomputing_mlp(const Tensor& rows, bool normed, const DecoderShape& shape,
                         const BlockPass& pass) const;
};

// Where the rows of each stream lie in document order. With one stream `rows` and `joint_order` stay
// undefined.
struct StreamOrder {
  std::vector<Tensor> rows;  // per stream: [rows of it] int64, positions in document order
  Tensor joint_order;        // [N] int64: document order -> row of the concatenated streams
  Tensor row_group;          // [N] uint8: the stream of each position
};

// The rotation of a set of rows in document order, and what each may see.
struct AttentionPlan {
  Tensor cosine, sine;  // [N, head size / 2] fp32
  bool interleaved = false;
  kernels::AttentionSpans spans;
  kernels::AttentionPath path = kernels::AttentionPath::automatic;
};

// A transformer block over one or more streams, each with its own weights, joined by one causal attention in
// document order (Esser et al. 2024, arXiv 2403.03206, for two streams).
struct DecoderBlock {
  std::vector<StreamLayers> streams;

  DecoderBlock() = default;
  // block_count scales the start of the layers that write to the residual. keys_only applies to the first
  // stream.
  DecoderBlock(const ParameterScope& scope, const DecoderShape& shape, std::int64_t block_count,
               const std::vector<std::string>& stream_names, bool keys_only);

  // The attention step: from projected rows [N, qkv_width] in document order, and what the kernels need to
  // know about them, to [N, query_width]; over these rows alone, or over a cache as well.
  using Attend = std::function<Tensor(const Tensor& qkv, const kernels::RotaryAttention&)>;
  // One entry per stream, in and out; a keys_only stream does not come back.
  std::vector<StreamRows> run(std::vector<StreamRows> rows, const DecoderShape& shape,
                              const StreamOrder& order, const AttentionPlan& plan, const BlockPass& pass,
                              const Attend& attend) const;

 private:
  // Shares storage with the weights.
  kernels::RotaryAttention attention(const DecoderShape& shape, const StreamOrder& order,
                                     const AttentionPlan& plan, const BlockPass& pass) const;
};

}  // namespace omni::nn
