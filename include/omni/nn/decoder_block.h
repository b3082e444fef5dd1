#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "omni/kernels/fused_rows.h"
#include "omni/kernels/rotary_attention.h"
#include "omni/nn/cast_weights.h"
#include "omni/nn/parameters.h"

namespace omni::nn {

// The sizes and choices that all blocks of a decoder share.
struct DecoderShape {
  std::int64_t width = 0, heads = 0, key_value_heads = 0, head_size = 0, mlp_width = 0;
  kernels::NormKind norm = kernels::NormKind::root_mean_square;
  bool norm_scale = true;
  double norm_epsilon = 1e-6;
  bool bias = false;
  bool query_key_norm = true;
  double query_key_norm_epsilon = 1e-5;
  double dropout = 0;
  double initial_deviation = 0.02;
  std::int64_t block_count = 1;  // scales the start of the layers that write to the residual

  std::int64_t qkv_width() const { return (heads + 2 * key_value_heads) * head_size; }
};

// What linear layers are called for. Nothing: many rows, with gradients. A format: the rows of a decoding
// step, few as a rule, without gradients, on the CPU through kernels that read the weight once in that format
// and give each row the same result whatever other rows there are.
using Decoding = std::optional<kernels::DecodeFormat>;

// A linear layer whose weight is cast to the type of its input once per change.
struct CastLinear {
  CastWeight weight;
  Tensor bias;
  CastLinear() = default;
  CastLinear(const ParameterScope& scope, std::int64_t in, std::int64_t out, bool with_bias,
             double deviation);
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
  Tensor query_norm, key_norm;      // [head_size], undefined without q/k norm; query_norm also with keys_only
  CastLinear qkv;                   // keys and values only with keys_only
  CastLinear attention_out, gate_up, down;
  bool keys_only = false;

  StreamLayers() = default;
  StreamLayers(const ParameterScope& scope, const DecoderShape& shape, bool keys_only);

  // Norm and projection to queries, keys and values [rows, qkv_width] (query columns are zero with
  // keys_only).
  Tensor project(StreamRows& rows, const DecoderShape& shape, at::ScalarType type,
                 Decoding decoding = {}) const;
  // Everything after the attention, from its output [rows, heads * head_size].
  void finish(StreamRows& rows, const Tensor& attended, const DecoderShape& shape, bool training,
              Decoding decoding = {}) const;
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
  Tensor cosine, sine;  // [N, head_size / 2] fp32
  bool interleaved = false;
  kernels::AttentionSpans spans;
  kernels::AttentionPath path = kernels::AttentionPath::automatic;
};

// A transformer block over one or more streams, each with its own weights, joined by one causal attention in
// document order (Esser et al. 2024, arXiv 2403.03206, for two streams).
struct DecoderBlock {
  std::vector<StreamLayers> streams;

  DecoderBlock() = default;
  // keys_only applies to the first stream.
  DecoderBlock(const ParameterScope& scope, const DecoderShape& shape,
               const std::vector<std::string>& stream_names, bool keys_only);
  void run(std::vector<StreamRows>& rows, const DecoderShape& shape, const StreamOrder& order,
           const AttentionPlan& plan, at::ScalarType type, bool training) const;
  // The two halves of run(), around the attention: the projected rows [N, qkv_width] in document order, and
  // what happens to the attention's output [N, heads * head_size].
  Tensor project(std::vector<StreamRows>& rows, const DecoderShape& shape, const StreamOrder& order,
                 at::ScalarType type, Decoding decoding = {}) const;
  void finish(std::vector<StreamRows>& rows, const Tensor& attended, const DecoderShape& shape,
              const StreamOrder& order, bool training, Decoding decoding = {}) const;
  // What the attention kernels need to know about these rows; its tensors share storage with the weights.
  kernels::RotaryAttention attention(const DecoderShape& shape, const StreamOrder& order,
                                     const AttentionPlan& plan) const;
};

}  // namespace omni::nn
