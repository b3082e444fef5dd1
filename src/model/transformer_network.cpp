#include "transformer_network.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "omni/core/error.h"
#include "omni/nn/rotary.h"

namespace omni::model {
namespace {

nn::DecoderShape shape_of(const TransformerConfig& c) {
  nn::DecoderShape shape;
  shape.width = c.width;
  shape.heads = c.heads;
  shape.key_value_heads = c.stored_heads();
  shape.head_size = c.head_size();
  shape.mlp_width = c.mlp_width();
  shape.norm = c.norm == "layer" ? kernels::NormKind::layer : kernels::NormKind::root_mean_square;
  shape.norm_scale = c.norm_scale;
  shape.norm_epsilon = c.norm_epsilon;
  shape.bias = c.bias;
  shape.query_key_norm = c.query_key_norm;
  shape.query_key_norm_epsilon = c.query_key_norm_epsilon;
  shape.dropout = c.dropout;
  shape.initial_deviation = c.initial_deviation;
  shape.block_count = c.block_count();
  return shape;
}

// A deviation with which projected codebook rows look like freshly drawn embedding rows.
double projection_deviation(const Tensor& codebook, double wanted) {
  const double length = std::sqrt(codebook.to(at::kDouble).square().sum(1).mean().item<double>());
  return length > 0 ? wanted / length : wanted;
}

nn::RotaryAngles angles_of(const TransformerConfig& c, const std::vector<std::vector<std::int32_t>>& axes) {
  nn::RotarySplit split{c.rope_split, c.rope_theta};
  if (split.dimensions.empty()) split.dimensions = {c.head_size()};
  std::vector<std::span<const std::int32_t>> spans;
  for (std::size_t axis = 0; axis < split.dimensions.size(); ++axis) spans.emplace_back(axes[axis]);
  return nn::rotary_angles(spans, split);
}

// The spans of a set of rows, among the rows of the generated stream.
kernels::AttentionSpans generated_spans(const RowPlaces& places) {
  std::vector<std::int64_t> before = {0};  // generated rows before each row
  for (const std::uint8_t stream : places.streams) before.push_back(before.back() + stream);
  std::vector<std::int64_t> starts;
  for (const std::int64_t start : places.document_starts) starts.push_back(before[start]);
  std::vector<kernels::RowRange> bidirectional;
  for (const kernels::RowRange& range : places.bidirectional)
    bidirectional.push_back({before[range.first], before[range.last]});
  return kernels::AttentionSpans::causal_with_segments(starts, bidirectional);
}

// The segments of a packed sequence that see all of themselves.
std::vector<kernels::RowRange> bidirectional_ranges(const TransformerConfig& config,
                                                    const sequence::PackedSequence& sequence) {
  std::vector<kernels::RowRange> ranges;
  if (config.bidirectional.empty()) return ranges;
  for (std::int64_t d = 0; d < sequence.document_count(); ++d) {
    const std::int64_t end = sequence.document_starts[d + 1];
    for (std::int64_t i = sequence.document_starts[d], last; i < end; i = last) {
      last = i + 1;
      while (last < end && sequence.segments[last] == sequence.segments[i] &&
             sequence.streams[last] == sequence.streams[i])
        ++last;
      if (config.is_bidirectional(sequence.streams[i])) ranges.push_back({i, last});
    }
  }
  return ranges;
}

}  // namespace

Tensor index_tensor(const std::vector<std::int64_t>& values) {
  Tensor tensor = at::empty({static_cast<std::int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<std::int64_t>());
  return tensor;
}

Transformer::Network::Network(const TransformerConfig& given, const sequence::Vocabulary& given_vocabulary,
                              const sequence::SequenceLayout& given_layout, nn::ParameterStart start,
                              const std::vector<RangeCodebook>& codebooks)
    : config(given),
      vocabulary(given_vocabulary),
      layout(given_layout),
      parts(given_vocabulary, given_layout),
      parameters(std::move(start)),
      shape(shape_of(given)) {
  validate(config);
  const nn::ParameterScope root(parameters);
  embedding =
      root.sub("embedding")
          .add("weight", {vocabulary.size(), config.width}, nn::Init::normal(config.initial_deviation));
  if (!config.tied_embeddings)
    head = root.sub("head").add("weight", {vocabulary.size(), config.width},
                                nn::Init::normal(config.initial_deviation));
  output_rows = nn::CastWeight(head.defined() ? head : embedding);
  if (config.slot_embedding) {
    slots = root.sub("slot_embedding")
                .add("weight", {slot_count() + 1, config.width}, nn::Init::normal(config.initial_deviation));
    next_slots =
        root.sub("next_slot_embedding")
            .add("weight", {slot_count() + 1, config.width}, nn::Init::normal(config.initial_deviation));
  }
  if (config.codebook_embedding) {
    for (const RangeCodebook& given_codebook : codebooks) {
      const sequence::TokenRange& range = vocabulary.range(given_codebook.range);
      ensure(given_codebook.codebook.size(0) == range.size, "codebook of '", range.name,
             "' has another size than its range");
      CodeRange code{
          range,
          root.sub("codebook").add(range.name, given_codebook.codebook.sizes(), nn::Init::zeros(), false),
          {}};
      code.codebook.copy_(given_codebook.codebook);
      const double deviation = projection_deviation(given_codebook.codebook, config.initial_deviation);
      code.projection =
          root.sub("codebook_projection")
              .add(range.name, {config.width, given_codebook.codebook.size(1)}, nn::Init::normal(deviation));
      const c10::NoGradGuard guard;
      embedding.narrow(0, range.first, range.size).zero_();
      code_ranges.push_back(std::move(code));
    }
  }
  for (std::int64_t i = 0; i < config.dual_blocks; ++i) {
    const bool keys_only = drops_text() && i + 1 == config.dual_blocks;
    dual_blocks.emplace_back(root.sub("dual_blocks").sub(i), shape,
                             std::vector<std::string>{"text", "generated"}, keys_only);
  }
  for (std::int64_t i = 0; i < config.single_blocks; ++i)
    single_blocks.emplace_back(root.sub("single_blocks").sub(i), shape, std::vector<std::string>{""}, false);
  if (config.norm_scale) final_norm = root.sub("final_norm").add("weight", {config.width}, nn::Init::ones());
}

std::int64_t Transformer::Network::slot_count() const {
  std::int64_t count = 0;
  for (const sequence::Modality modality : sequence::kModalities) count += parts.span(modality);
  return count;
}

std::int32_t Transformer::Network::slot_row(sequence::Modality modality, std::int32_t slot) const {
  std::int32_t first = 0;
  for (const sequence::Modality before : sequence::kModalities) {
    if (before < modality) first += parts.span(before);
  }
  return first + std::clamp(slot, 0, parts.span(modality) - 1);
}

Tensor Transformer::Network::token_rows() const {
  if (code_ranges.empty()) return embedding;
  std::vector<Tensor> parts;
  std::int64_t next = 0;
  for (const CodeRange& code : code_ranges) {
    parts.push_back(
        at::zeros({code.range.first - next, config.width}, embedding.options().requires_grad(false)));
    parts.push_back(at::mm(code.codebook, code.projection.t()));
    next = code.range.first + code.range.size;
  }
  parts.push_back(
      at::zeros({vocabulary.size() - next, config.width}, embedding.options().requires_grad(false)));
  return embedding + at::cat(parts, 0);
}

Tensor Transformer::Network::head_rows(const Tensor& rows) const { return head.defined() ? head : rows; }

Tensor Transformer::Network::embed(const Tensor& rows, const Tensor& tokens, const Tensor& slot_indices,
                                   const Tensor& next_slot_indices) const {
  Tensor embedded = at::embedding(rows, tokens);
  if (slots.defined() && slot_indices.defined())
    embedded = embedded + at::embedding(slots, slot_indices) + at::embedding(next_slots, next_slot_indices);
  return embedded;
}

RowPlan Transformer::Network::plan(const RowPlaces& places) const {
  RowPlan plan;
  const std::vector<std::vector<std::int32_t>> axes = {{places.offsets.begin(), places.offsets.end()},
                                                       {places.rows.begin(), places.rows.end()},
                                                       {places.columns.begin(), places.columns.end()}};
  const nn::RotaryAngles angles = angles_of(config, axes);
  const auto device = embedding.device();
  plan.dual = {
      angles.cosine.to(device), angles.sine.to(device), config.rope == "interleaved",
      kernels::AttentionSpans::causal_with_segments(places.document_starts, places.bidirectional).on(device),
      attention_path};
  plan.single = plan.dual;
  if (config.streams == 1) return plan;

  const auto count = static_cast<std::int64_t>(places.streams.size());
  std::vector<std::vector<std::int64_t>> rows(2);
  for (std::int64_t i = 0; i < count; ++i) rows[places.streams[i]].push_back(i);
  std::vector<std::int64_t> joint(count);
  std::int64_t next = 0;
  for (const auto& stream : rows)
    for (const std::int64_t row : stream) joint[row] = next++;
  for (const auto& stream : rows) plan.order.rows.push_back(index_tensor(stream).to(device));
  plan.order.joint_order = index_tensor(joint).to(device);
  plan.order.row_group = at::empty({count}, at::kByte);
  std::copy(places.streams.begin(), places.streams.end(),
            plan.order.row_group.mutable_data_ptr<std::uint8_t>());
  plan.order.row_group = plan.order.row_group.to(device);
  if (!drops_text()) return plan;

  plan.output_rows = plan.order.rows[1];
  plan.single.cosine = plan.dual.cosine.index_select(0, plan.output_rows);
  plan.single.sine = plan.dual.sine.index_select(0, plan.output_rows);
  plan.single.spans = generated_spans(places).on(device);
  return plan;
}

Tensor Transformer::Network::run(const Tensor& embedded, const RowPlan& plan, bool training) const {
  std::vector<nn::StreamRows> rows;
  if (config.streams == 1) {
    rows = {{embedded, {}}};
  } else {
    for (const Tensor& stream : plan.order.rows) rows.push_back({embedded.index_select(0, stream), {}});
  }
  // A block may run again in the backward pass, when the caller's plan is gone.
  const auto kept = std::make_shared<const RowPlan>(plan);
  const auto run_block = [&](const nn::DecoderBlock& block, const nn::AttentionPlan RowPlan::*attention) {
    const auto body = [this, &block, kept, attention, training](const std::vector<Tensor>& inputs) {
      std::vector<nn::StreamRows> own;
      for (std::size_t i = 0; i < inputs.size(); i += 2) own.push_back({inputs[i], inputs[i + 1]});
      block.run(own, shape, kept->order, (*kept).*attention, type, training);
      std::vector<Tensor> outputs;
      for (std::size_t s = 0; s < own.size(); ++s) {
        if (block.streams[s].keys_only) continue;
        outputs.push_back(own[s].residual);
        outputs.push_back(own[s].delta);
      }
      return outputs;
    };
    std::vector<Tensor> inputs;
    for (const nn::StreamRows& stream : rows) inputs.insert(inputs.end(), {stream.residual, stream.delta});
    const std::vector<Tensor> outputs = executor->run(body, inputs);
    rows.clear();
    for (std::size_t i = 0; i < outputs.size(); i += 2) rows.push_back({outputs[i], outputs[i + 1]});
  };
  for (const nn::DecoderBlock& block : dual_blocks) run_block(block, &RowPlan::dual);
  if (rows.size() == 2) {
    const auto joined = [&](const Tensor& text, const Tensor& generated) {
      return at::cat({text, generated}, 0).index_select(0, plan.order.joint_order);
    };
    rows = {{joined(rows[0].residual, rows[1].residual), joined(rows[0].delta, rows[1].delta)}};
  }
  for (const nn::DecoderBlock& block : single_blocks) run_block(block, &RowPlan::single);
  return kernels::add_norm(rows[0].residual, rows[0].delta, final_norm,
                           {shape.norm, shape.norm_epsilon, type})
      .second;
}

PackedRows packed_rows(const Transformer::Network& network, const sequence::PackedSequence& sequence) {
  const std::int64_t count = sequence.length();
  ensure(count > 0, "the packed sequence is empty");
  PackedRows rows{at::empty({count}, at::kLong), {}, {}, {}};
  auto* tokens = rows.tokens.mutable_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t token = sequence.tokens[i];
    ensure(token >= 0 && token < network.vocabulary.size(), "token ", token,
           " is outside the model's vocabulary");
    tokens[i] = token;
    rows.streams.push_back(sequence.streams[i] == sequence::Modality::text ? 0 : 1);
  }
  if (network.slots.defined()) {
    rows.slots = at::empty({count}, at::kLong);
    rows.next_slots = at::empty({count}, at::kLong);
    auto* slots = rows.slots.mutable_data_ptr<std::int64_t>();
    auto* next = rows.next_slots.mutable_data_ptr<std::int64_t>();
    for (std::int64_t d = 0; d < sequence.document_count(); ++d) {
      const std::int64_t first = sequence.document_starts[d], last = sequence.document_starts[d + 1];
      for (std::int64_t i = first; i < last; ++i)
        slots[i] = network.slot_row(sequence.streams[i], sequence.slots[i]);
      for (std::int64_t i = first; i < last; ++i) next[i] = i + 1 < last ? slots[i + 1] : network.no_slot();
    }
  }
  const auto device = network.embedding.device();
  if (!device.is_cpu())
    for (Tensor* tensor : {&rows.tokens, &rows.slots, &rows.next_slots})
      if (tensor->defined()) *tensor = tensor->to(device);
  return rows;
}

RowPlan packed_plan(const Transformer::Network& network, const sequence::PackedSequence& sequence,
                    const PackedRows& rows) {
  return network.plan({sequence.offsets, sequence.rows, sequence.columns, rows.streams,
                       sequence.document_starts, bidirectional_ranges(network.config, sequence)});
}

}  // namespace omni::model
