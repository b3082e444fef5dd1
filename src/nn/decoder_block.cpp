#include "omni/nn/decoder_block.h"

#include <cmath>
#include <numeric>
#include <optional>

#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/kernels/add_norm.h"
#include "omni/kernels/cast_linear.h"
#include "omni/kernels/gated_mlp.h"
#include "omni/kernels/keyed_dropout.h"
#include "omni/kernels/packed_products.h"
#include "omni/kernels/swiglu.h"
#include "recomputed_rows.h"

namespace omni::nn {
namespace {

Tensor stacked(const std::vector<Tensor>& weights) {
  if (!weights[0].defined()) return {};
  return weights.size() == 1 ? weights[0].unsqueeze(0) : at::stack(weights);
}

kernels::NormOptions norm_options(const DecoderShape& shape, const BlockPass& pass) {
  return {shape.norm_kind(), shape.norm_epsilon, pass.type, pass.fused.path(kernels::FusedKernel::norm)};
}

// What norms are to a layer that makes its rows again.
MakeRows norm_of(const DecoderShape& shape, const BlockPass& pass) {
  return [options = norm_options(shape, pass)](const Tensor& rows, const Tensor& scale) {
    return kernels::add_norm(rows, {}, scale, options).second;
  };
}

bool recomputes_norm_before(const CastLinear& layer, const BlockPass& pass) {
  return pass.recomputation.norms && !pass.decoding && !layer.adapter.defined();
}

Tensor added(const StreamRows& rows) {
  return rows.delta.defined() ? rows.residual + rows.delta : rows.residual;
}

// The two places of a stream that are dropped from.
enum class DropoutPlace : std::uint64_t { attention, mlp };

// dropout: of the stream.
Tensor dropped(const Tensor& x, const Dropout& dropout, DropoutPlace place) {
  if (dropout.rate == 0) return x;
  const auto number = static_cast<std::uint64_t>(place);
  if (dropout.keys.defined())
    return kernels::keyed_dropout(x, dropout.rate, dropout.keys[static_cast<std::int64_t>(number)]);
  return kernels::keyed_dropout(x, dropout.rate, hash_combine(dropout.key, number));
}

}  // namespace

std::uint64_t dropout_key(std::uint64_t key, std::uint64_t stream, std::uint64_t place) {
  return hash_combine(hash_combine(key, stream), place);
}

CastLinear::CastLinear(const ParameterScope& scope, std::int64_t in, std::int64_t out, bool with_bias,
                       double standard_deviation, std::vector<std::int64_t> stacked_rows)
    : weight(scope.add("weight", {out, in}, Init::normal(standard_deviation),
                       {.stacked_rows = std::move(stacked_rows)})) {
  if (with_bias) bias = scope.add("bias", {out}, Init::zeros());
}

namespace {

// Many rows are those of one sequence: see CachedBlocks::append().
Tensor decoded(const Tensor& x, const kernels::DecodeWeight& weight, const Tensor& bias) {
  return x.size(0) < kernels::rows_for_products() ? kernels::decode_linear(x, weight, bias)
                                                  : kernels::packed_products(x, weight, bias);
}

}  // namespace

Tensor CastLinear::operator()(const Tensor& x, Decoding decoding) const {
  const Tensor rows = decoding && x.device().is_cpu()
                          ? decoded(x, weight.for_decoding(*decoding), bias)
                          : kernels::cast_linear(x, weight.weight(), weight.as(x.scalar_type()), bias);
  return adapter.defined() ? rows + adapter(x, decoding) : rows;
}

StreamLayers::StreamLayers(const ParameterScope& scope, const DecoderShape& shape, std::int64_t block_count,
                           bool keys_only)
    : keys_only(keys_only) {
  const auto norm = [&](const char* name) {
    return shape.norm_scale ? scope.sub(name).add("weight", {shape.width}, Init::ones()) : Tensor();
  };
  // Layers that write to the residual start smaller (Radford et al. 2019, GPT-2).
  const double into_residual = shape.initial_deviation / std::sqrt(2.0 * static_cast<double>(block_count));
  const std::int64_t attended = shape.query_width(), head_size = shape.attention_head_size();
  attention_norm = norm("attention_norm");
  const std::int64_t stored = shape.stored_heads() * head_size;
  std::vector<std::int64_t> projections = {stored, stored};
  if (!keys_only) projections.insert(projections.begin(), attended);
  qkv = CastLinear(scope.sub("qkv"), shape.width, std::reduce(projections.begin(), projections.end()),
                   shape.bias, shape.initial_deviation, projections);
  if (shape.query_key_norm) {
    key_norm = scope.sub("key_norm").add("weight", {head_size}, Init::ones());
    if (!keys_only) query_norm = scope.sub("query_norm").add("weight", {head_size}, Init::ones());
  }
  if (keys_only) return;
  attention_out = CastLinear(scope.sub("attention_out"), attended, shape.width, shape.bias, into_residual);
  mlp_norm = norm("mlp_norm");
  gate_up = CastLinear(scope.sub("gate_up"), shape.width, 2 * shape.mlp_width(), shape.bias,
                       shape.initial_deviation, {shape.mlp_width(), shape.mlp_width()});
  down = CastLinear(scope.sub("down"), shape.mlp_width(), shape.width, shape.bias, into_residual);
}

Tensor StreamLayers::project(StreamRows& rows, const DecoderShape& shape, const BlockPass& pass) const {
  Tensor projected;
  if (recomputes_norm_before(qkv, pass)) {
    rows = {added(rows), Tensor()};
    projected = linear_of_made_rows(rows.residual, attention_norm, norm_of(shape, pass), qkv, pass.type);
  } else {
    const auto [residual, normed] =
        kernels::add_norm(rows.residual, rows.delta, attention_norm, norm_options(shape, pass));
    rows = {residual, Tensor()};
    projected = qkv(normed, pass.decoding);
  }
  if (keys_only) projected = at::constant_pad_nd(projected, {shape.query_width(), 0});
  return projected;
}

Tensor StreamLayers::mlp(const Tensor& x, const BlockPass& pass) const {
  const Decoding& decoding = pass.decoding;
  const kernels::KernelPath path = pass.fused.path(kernels::FusedKernel::swiglu);
  const bool fused =
      !decoding && !gate_up.bias.defined() && !gate_up.adapter.defined() && !down.adapter.defined();
  if (!fused) return down(kernels::swiglu(gate_up(x, decoding), path), decoding);
  const auto of = [&](const CastLinear& layer) {
    return kernels::CastMatrix{layer.weight.weight(), layer.weight.as(x.scalar_type())};
  };
  return kernels::gated_mlp(x, of(gate_up), of(down), path);
}

Tensor StreamLayers::recomputing_mlp(const Tensor& rows, bool normed, const DecoderShape& shape,
                                     const BlockPass& pass) const {
  const Tensor gates =
      normed ? gate_up(rows) : linear_of_made_rows(rows, mlp_norm, norm_of(shape, pass), gate_up, pass.type);
  const kernels::KernelPath path = pass.fused.path(kernels::FusedKernel::swiglu);
  if (!pass.recomputation.swiglu || down.adapter.defined()) return down(kernels::swiglu(gates, path));
  const auto make = [path](const Tensor& source, const Tensor&) { return kernels::swiglu(source, path); };
  return linear_of_made_rows(gates, {}, make, down, pass.type);
}

void StreamLayers::finish(StreamRows& rows, const Tensor& attended, const DecoderShape& shape,
                          const BlockPass& pass) const {
  const Tensor delta = dropped(attention_out(attended, pass.decoding), pass.dropout, DropoutPlace::attention);
  const bool recomputes = pass.recomputation.takes_parts() && !pass.decoding;
  Tensor made;
  if (recomputes_norm_before(gate_up, pass)) {
    rows = {added({rows.residual, delta}), Tensor()};
    made = recomputing_mlp(rows.residual, /*normed=*/false, shape, pass);
  } else {
    kernels::NormOptions options = norm_options(shape, pass);
    options.output_type = delta.scalar_type();
    const auto [residual, normed] = kernels::add_norm(rows.residual, delta, mlp_norm, options);
    rows = {residual, Tensor()};
    made = recomputes ? recomputing_mlp(normed, /*normed=*/true, shape, pass) : mlp(normed, pass);
  }
  rows.delta = dropped(made, pass.dropout, DropoutPlace::mlp);
}

DecoderBlock::DecoderBlock(const ParameterScope& scope, const DecoderShape& shape, std::int64_t block_count,
                           const std::vector<std::string>& stream_names, bool keys_only) {
  for (std::size_t s = 0; s < stream_names.size(); ++s)
    streams.emplace_back(stream_names[s].empty() ? scope : scope.sub(stream_names[s]), shape, block_count,
                         keys_only && s == 0);
}

kernels::RotaryAttention DecoderBlock::attention(const DecoderShape& shape, const StreamOrder& order,
                                                 const AttentionPlan& plan, const BlockPass& pass) const {
  std::vector<Tensor> query_norms, key_norms;
  for (const StreamLayers& stream : streams) {
    // The kernels want a row per stream, though the queries of one that gives keys only are zero.
    const bool filler = stream.keys_only && stream.key_norm.defined();
    query_norms.push_back(filler ? at::ones_like(stream.key_norm.detach()) : stream.query_norm);
    key_norms.push_back(stream.key_norm);
  }
  kernels::RotaryAttention attention;
  attention.heads = shape.heads;
  attention.key_value_heads = shape.stored_heads();
  attention.head_size = shape.attention_head_size();
  attention.cosine = plan.cosine;
  attention.sine = plan.sine;
  attention.interleaved = plan.interleaved;
  attention.query_norm = stacked(query_norms);
  attention.key_norm = stacked(key_norms);
  attention.norm_epsilon = shape.query_key_norm_epsilon;
  attention.rotation_path = pass.fused.path(kernels::FusedKernel::rotation);
  if (streams.size() > 1) attention.row_group = order.row_group;
  return attention;
}

namespace {

std::optional<std::size_t> only_stream_with_rows(const std::vector<StreamRows>& rows) {
  std::optional<std::size_t> only;
  for (std::size_t s = 0; s < rows.size(); ++s) {
    if (rows[s].residual.size(0) == 0) continue;
    if (only) return std::nullopt;
    only = s;
  }
  return only;
}

}  // namespace

std::vector<StreamRows> DecoderBlock::run(std::vector<StreamRows> rows, const DecoderShape& shape,
                                          const StreamOrder& order, const AttentionPlan& plan,
                                          const BlockPass& pass, const Attend& attend) const {
  ensure(rows.size() == streams.size(), "decoder block: wrong number of streams");
  // A step of sampling is most often one of a single stream.
  const std::optional<std::size_t> sole = pass.decoding ? only_stream_with_rows(rows) : std::nullopt;
  const auto takes_part = [&](std::size_t s) { return !sole || s == *sole; };
  std::vector<Tensor> projected;
  for (std::size_t s = 0; s < streams.size(); ++s)
    if (takes_part(s)) projected.push_back(streams[s].project(rows[s], shape, pass));
  const bool joined = projected.size() > 1;
  Tensor attended =
      attend(joined ? at::concat(projected, 0).index_select(0, order.joint_order) : projected[0],
             attention(shape, order, plan, pass));
  if (pass.kept_rows.defined()) {
    ensure(streams.size() == 1, "decoder block: rows of several streams are not left behind");
    rows[0].residual = rows[0].residual.index_select(0, pass.kept_rows);
    attended = attended.index_select(0, pass.kept_rows);
  }
  std::vector<StreamRows> outputs;
  for (std::size_t s = 0; s < streams.size(); ++s) {
    if (streams[s].keys_only) continue;
    BlockPass own = pass;
    own.dropout.key = hash_combine(pass.dropout.key, s);
    if (own.dropout.keys.defined()) own.dropout.keys = pass.dropout.keys[static_cast<std::int64_t>(s)];
    if (takes_part(s))
      streams[s].finish(rows[s], joined ? attended.index_select(0, order.rows[s]) : attended, shape, own);
    else
      rows[s].delta = rows[s].residual.to(pass.type);  // of no rows
    outputs.push_back(rows[s]);
  }
  return outputs;
}

}  // namespace omni::nn
