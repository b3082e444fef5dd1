#include "transformer_network.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/kernels/add_norm.h"
#include "omni/nn/rotary.h"

namespace omni::model {
namespace {

// A deviation with which projected codebook rows look like freshly drawn embedding rows.
double projection_deviation(const Tensor& codebook, double wanted) {
  const double length = std::sqrt(codebook.to(at::kDouble).square().sum(1).mean().item<double>());
  return length > 0 ? wanted / length : wanted;
}

nn::RotaryAngles angles_of(const TransformerConfig& c, const std::vector<std::vector<std::int32_t>>& axes) {
  nn::RotarySplit split{c.rope_split, c.rope_theta};
  if (split.dimensions.empty()) split.dimensions = {c.attention_head_size()};
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
      parameters(std::move(start)) {
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
          root.sub("codebook")
              .add(range.name, given_codebook.codebook.sizes(), nn::Init::zeros(), {.trainable = false}),
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
  constexpr auto block = nn::ParameterUnit::Kind::block;
  for (std::int64_t i = 0; i < config.dual_blocks; ++i) {
    const bool keys_only = drops_text() && i + 1 == config.dual_blocks;
    dual_blocks.emplace_back(root.sub("dual_blocks").sub(i).unit(block), config, config.block_count(),
                             std::vector<std::string>{"text", "generated"}, keys_only);
  }
  for (std::int64_t i = 0; i < config.single_blocks; ++i)
    single_blocks.emplace_back(root.sub("single_blocks").sub(i).unit(block), config, config.block_count(),
                               std::vector<std::string>{""}, false);
  if (config.norm_scale)
    final_norm = root.sub("final_norm")
                     .unit(nn::ParameterUnit::Kind::final)
                     .add("weight", {config.width}, nn::Init::ones());
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

namespace {

std::vector<nn::StreamRows> split_streams(const Tensor& embedded, const nn::StreamOrder& order) {
  if (order.rows.empty()) return {{embedded, {}}};
  std::vector<nn::StreamRows> rows;
  for (const Tensor& stream : order.rows) rows.push_back({embedded.index_select(0, stream), {}});
  return rows;
}

nn::StreamRows join_streams(const std::vector<nn::StreamRows>& rows, const nn::StreamOrder& order) {
  const auto joined = [&](const Tensor& text, const Tensor& generated) {
    return at::cat({text, generated}, 0).index_select(0, order.joint_order);
  };
  return {joined(rows[0].residual, rows[1].residual), joined(rows[0].delta, rows[1].delta)};
}

// An executor's blocks take and give plain tensors: residual and delta of each stream.
std::vector<Tensor> tensors_of(const std::vector<nn::StreamRows>& rows) {
  std::vector<Tensor> tensors;
  for (const nn::StreamRows& stream : rows) tensors.insert(tensors.end(), {stream.residual, stream.delta});
  return tensors;
}

std::vector<nn::StreamRows> rows_of(const std::vector<Tensor>& tensors) {
  std::vector<nn::StreamRows> rows;
  for (std::size_t i = 0; i < tensors.size(); i += 2) rows.push_back({tensors[i], tensors[i + 1]});
  return rows;
}

}  // namespace

std::vector<nn::StreamRows> Transformer::Network::run_block(std::size_t number,
                                                            const std::vector<nn::StreamRows>& rows,
                                                            const std::shared_ptr<const RowPlan>& plan,
                                                            const RowPass& pass) const {
  const bool dual = number < dual_blocks.size();
  const nn::DecoderBlock& block = dual ? dual_blocks[number] : single_blocks[number - dual_blocks.size()];
  nn::BlockPass block_pass{.type = type, .decoding = pass.decoding, .dropout = {}};
  if (pass.dropout_seed) block_pass.dropout = {config.dropout, hash_combine(*pass.dropout_seed, number)};
  // It may run again in the backward pass, when the caller's plan is gone.
  const auto body = [this, number, dual, &block, plan, attend = pass.attend,
                     block_pass](const std::vector<Tensor>& inputs) {
    const nn::AttentionPlan& own = dual ? plan->dual : plan->single;
    return tensors_of(block.run(rows_of(inputs), config, plan->order, own, block_pass,
                                [&](const Tensor& qkv, const kernels::RotaryAttention& attention) {
                                  return attend
                                             ? attend(number, qkv, attention)
                                             : kernels::rotary_attention(qkv, attention, own.spans, own.path);
                                }));
  };
  return rows_of(executor->run(body, tensors_of(rows)));
}

Tensor Transformer::Network::run(const Tensor& embedded, const RowPlan& given, const RowPass& pass) const {
  const auto plan = std::make_shared<const RowPlan>(given);
  std::vector<nn::StreamRows> rows = split_streams(embedded, plan->order);
  for (std::size_t i = 0; i < dual_blocks.size(); ++i) rows = run_block(i, rows, plan, pass);
  if (rows.size() == 2) rows = {join_streams(rows, plan->order)};
  // Single blocks over the generated stream have nothing to do for text alone.
  const bool any = rows[0].residual.size(0) > 0;
  for (std::size_t i = 0; any && i < single_blocks.size(); ++i)
    rows = run_block(dual_blocks.size() + i, rows, plan, pass);
  return kernels::add_norm(rows[0].residual, rows[0].delta, final_norm,
                           {config.norm_kind(), config.norm_epsilon, type})
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
