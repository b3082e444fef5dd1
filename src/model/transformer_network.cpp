#include "transformer_network.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/kernels/add_norm.h"

namespace omni::model {
namespace {

// A deviation with which projected codebook rows look like freshly drawn embedding rows.
double projection_deviation(const Tensor& codebook, double wanted) {
  const double length = std::sqrt(codebook.to(at::kDouble).square().sum(1).mean().item<double>());
  return length > 0 ? wanted / length : wanted;
}

}  // namespace

FeatureProjection add_feature_projection(const nn::ParameterScope& root, const TransformerConfig& config,
                                         const TransformerConfig::FeatureInput& input) {
  const nn::ParameterScope scope = root.sub("feature_projection").sub(input.name);
  const double deviation = config.initial_deviation / std::sqrt(static_cast<double>(input.width));
  return {scope.add("weight", {config.width, input.width}, nn::Init::normal(deviation)),
          scope.add("bias", {config.width}, nn::Init::zeros())};
}

std::uint64_t block_dropout_key(std::uint64_t seed, std::size_t block) { return hash_combine(seed, block); }

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
  for (const TransformerConfig::FeatureInput& input : config.features)
    feature_projections.push_back(add_feature_projection(root, config, input));
  constexpr auto block = nn::ParameterUnit::Kind::block;
  for (std::int64_t i = 0; i < config.dual_blocks; ++i) {
    const bool keys_only = config.drops_text() && i + 1 == config.dual_blocks;
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
  return embedding + at::concat(parts, 0);
}

Tensor Transformer::Network::head_rows(const Tensor& rows) const { return head.defined() ? head : rows; }

Tensor Transformer::Network::embed(const Tensor& table, const EmbeddedTokens& rows) const {
  const kernels::KernelPath path = fused.path(kernels::FusedKernel::embedding);
  Tensor embedded = kernels::embed(table, rows.tokens, rows.codes, path);
  if (slots.defined() && rows.slots.defined())
    embedded = embedded + kernels::embed(slots, rows.slots, {}, path) +
               kernels::embed(next_slots, rows.next_slots, {}, path);
  for (std::size_t i = 0; i < rows.features.size(); ++i) {
    const auto& [positions, values] = rows.features[i];
    if (positions.size(0) == 0) continue;
    embedded = embedded.index_copy(
        0, positions, at::linear(values, feature_projections[i].weight, feature_projections[i].bias));
  }
  return embedded;
}

kernels::ClassTable Transformer::Network::output_classes() const {
  kernels::ClassTable classes{output_rows.weight(), output_rows.as(type), {}};
  if (head.defined()) return classes;
  for (const CodeRange& code : code_ranges) classes.codebooks.push_back({code.codebook, code.projection});
  return classes;
}

std::vector<Transformer::Network::NamedLinear> Transformer::Network::linear_layers() {
  std::vector<NamedLinear> layers;
  const auto add = [&](const std::string& prefix, nn::StreamLayers& stream) {
    const std::pair<const char*, nn::CastLinear*> all[] = {{"qkv", &stream.qkv},
                                                           {"attention_out", &stream.attention_out},
                                                           {"gate_up", &stream.gate_up},
                                                           {"down", &stream.down}};
    for (const auto& [name, layer] : all)
      if (layer->defined()) layers.push_back({concat(prefix, ".", name), layer});
  };
  for (std::size_t i = 0; i < dual_blocks.size(); ++i)
    for (std::size_t s = 0; s < 2; ++s)
      add(concat("dual_blocks.", i, s == 0 ? ".text" : ".generated"), dual_blocks[i].streams[s]);
  for (std::size_t i = 0; i < single_blocks.size(); ++i)
    add(concat("single_blocks.", i), single_blocks[i].streams[0]);
  return layers;
}

RowPlan Transformer::Network::plan(const RowPlaces& places) const {
  BatchArena arena;
  const PlannedRows planned = PlannedRows::plan(config, places, arena);
  arena.close(/*pinned=*/false);
  return planned.on(arena.on(embedding.device()), config, attention_path);
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
    return at::concat({text, generated}, 0).index_select(0, order.joint_order);
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
  nn::BlockPass block_pass{
      .type = type, .decoding = pass.decoding, .dropout = {}, .fused = fused, .recomputation = {}};
  // What runs again as a whole keeps its parts until then.
  if (!recomputation.takes_whole(1 + number)) block_pass.recomputation = recomputation;
  if (pass.dropout_seed)
    block_pass.dropout = {
        config.dropout, block_dropout_key(*pass.dropout_seed, number),
        pass.dropout_keys.defined() ? pass.dropout_keys[static_cast<std::int64_t>(number)] : Tensor()};
  if (number + 1 == dual_blocks.size() + single_blocks.size() && !dual) block_pass.kept_rows = pass.wanted;
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
  return rows_of(executor->run(1 + number, body, tensors_of(rows)));
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
  return kernels::add_norm(
             rows[0].residual, rows[0].delta, final_norm,
             {config.norm_kind(), config.norm_epsilon, type, fused.path(kernels::FusedKernel::norm)})
      .second;
}

}  // namespace omni::model
