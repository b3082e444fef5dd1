#include "omni/nn/decoder_block.h"

#include <cmath>

#include "omni/core/error.h"

namespace omni::nn {
namespace {

Tensor stacked(const std::vector<Tensor>& weights) {
  if (!weights[0].defined()) return {};
  return weights.size() == 1 ? weights[0].unsqueeze(0) : at::stack(weights);
}

Tensor dropped(const Tensor& x, double rate, bool training) {
  return training && rate > 0 ? at::dropout(x, rate, true) : x;
}

}  // namespace

CastLinear::CastLinear(const ParameterScope& scope, std::int64_t in, std::int64_t out, bool with_bias,
                       double deviation)
    : weight(scope.add("weight", {out, in}, Init::normal(deviation))) {
  if (with_bias) bias = scope.add("bias", {out}, Init::zeros());
}

Tensor CastLinear::operator()(const Tensor& x, Decoding decoding) const {
  if (decoding && x.device().is_cpu()) return kernels::decode_linear(x, weight.for_decoding(*decoding), bias);
  return kernels::cast_linear(x, weight.weight(), weight.as(x.scalar_type()), bias);
}

StreamLayers::StreamLayers(const ParameterScope& scope, const DecoderShape& shape, bool keys_only)
    : keys_only(keys_only) {
  const auto norm = [&](const char* name) {
    return shape.norm_scale ? scope.sub(name).add("weight", {shape.width}, Init::ones()) : Tensor();
  };
  // Layers that write to the residual start smaller (Radford et al. 2019, GPT-2).
  const double into_residual =
      shape.initial_deviation / std::sqrt(2.0 * static_cast<double>(shape.block_count));
  const std::int64_t attended = shape.heads * shape.head_size;
  attention_norm = norm("attention_norm");
  qkv = CastLinear(scope.sub("qkv"), shape.width, shape.qkv_width() - (keys_only ? attended : 0), shape.bias,
                   shape.initial_deviation);
  if (shape.query_key_norm) {
    key_norm = scope.sub("key_norm").add("weight", {shape.head_size}, Init::ones());
    query_norm = keys_only ? at::ones({shape.head_size})
                           : scope.sub("query_norm").add("weight", {shape.head_size}, Init::ones());
  }
  if (keys_only) return;
  attention_out = CastLinear(scope.sub("attention_out"), attended, shape.width, shape.bias, into_residual);
  mlp_norm = norm("mlp_norm");
  gate_up =
      CastLinear(scope.sub("gate_up"), shape.width, 2 * shape.mlp_width, shape.bias, shape.initial_deviation);
  down = CastLinear(scope.sub("down"), shape.mlp_width, shape.width, shape.bias, into_residual);
}

Tensor StreamLayers::project(StreamRows& rows, const DecoderShape& shape, at::ScalarType type,
                             Decoding decoding) const {
  const auto [residual, normed] =
      kernels::add_norm(rows.residual, rows.delta, attention_norm, {shape.norm, shape.norm_epsilon, type});
  rows = {residual, Tensor()};
  Tensor projected = qkv(normed, decoding);
  if (keys_only) projected = at::constant_pad_nd(projected, {shape.heads * shape.head_size, 0});
  return projected;
}

void StreamLayers::finish(StreamRows& rows, const Tensor& attended, const DecoderShape& shape, bool training,
                          Decoding decoding) const {
  const Tensor delta = dropped(attention_out(attended, decoding), shape.dropout, training);
  const auto [residual, normed] = kernels::add_norm(rows.residual, delta, mlp_norm,
                                                    {shape.norm, shape.norm_epsilon, delta.scalar_type()});
  rows = {residual,
          dropped(down(kernels::swiglu(gate_up(normed, decoding)), decoding), shape.dropout, training)};
}

DecoderBlock::DecoderBlock(const ParameterScope& scope, const DecoderShape& shape,
                           const std::vector<std::string>& stream_names, bool keys_only) {
  for (std::size_t s = 0; s < stream_names.size(); ++s)
    streams.emplace_back(stream_names[s].empty() ? scope : scope.sub(stream_names[s]), shape,
                         keys_only && s == 0);
}

kernels::RotaryAttention DecoderBlock::attention(const DecoderShape& shape, const StreamOrder& order,
                                                 const AttentionPlan& plan) const {
  std::vector<Tensor> query_norms, key_norms;
  for (const StreamLayers& stream : streams) {
    query_norms.push_back(stream.query_norm);
    key_norms.push_back(stream.key_norm);
  }
  kernels::RotaryAttention attention;
  attention.heads = shape.heads;
  attention.key_value_heads = shape.key_value_heads;
  attention.head_size = shape.head_size;
  attention.cosine = plan.cosine;
  attention.sine = plan.sine;
  attention.interleaved = plan.interleaved;
  attention.query_norm = stacked(query_norms);
  attention.key_norm = stacked(key_norms);
  attention.norm_epsilon = shape.query_key_norm_epsilon;
  if (streams.size() > 1) attention.row_group = order.row_group;
  return attention;
}

Tensor DecoderBlock::project(std::vector<StreamRows>& rows, const DecoderShape& shape,
                             const StreamOrder& order, at::ScalarType type, Decoding decoding) const {
  ensure(rows.size() == streams.size(), "decoder block: wrong number of streams");
  std::vector<Tensor> projected;
  for (std::size_t s = 0; s < streams.size(); ++s)
    projected.push_back(streams[s].project(rows[s], shape, type, decoding));
  return streams.size() > 1 ? at::cat(projected, 0).index_select(0, order.joint_order) : projected[0];
}

void DecoderBlock::finish(std::vector<StreamRows>& rows, const Tensor& attended, const DecoderShape& shape,
                          const StreamOrder& order, bool training, Decoding decoding) const {
  for (std::size_t s = 0; s < streams.size(); ++s) {
    if (streams[s].keys_only) continue;
    const Tensor own = streams.size() > 1 ? attended.index_select(0, order.rows[s]) : attended;
    streams[s].finish(rows[s], own, shape, training, decoding);
  }
}

void DecoderBlock::run(std::vector<StreamRows>& rows, const DecoderShape& shape, const StreamOrder& order,
                       const AttentionPlan& plan, at::ScalarType type, bool training) const {
  const Tensor qkv = project(rows, shape, order, type);
  finish(rows, kernels::rotary_attention(qkv, attention(shape, order, plan), plan.spans, plan.path), shape,
         order, training);
}

}  // namespace omni::nn
