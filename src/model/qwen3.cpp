#include "omni/model/qwen3.h"

#include <ATen/core/grad_mode.h>

#include "cached_blocks.h"
#include "omni/core/error.h"
#include "public_config.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

// Every row of a batch of texts of one length, which follow `before` tokens each.
NewRows text_rows(std::int64_t batch, std::int64_t length, std::int64_t before) {
  NewRows rows;
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t i = 0; i < length; ++i) {
      rows.sequences.push_back(static_cast<std::int32_t>(b));
      rows.offsets.push_back(static_cast<std::int32_t>(before + i));
      rows.rows.push_back(0);
      rows.columns.push_back(0);
      rows.streams.push_back(0);
    }
  return rows;
}

Qwen3Config read_config(const PublicConfig& json) {
  Qwen3Config config;
  config.layers = json.integer("num_hidden_layers", kLayers);
  config.heads = json.integer("num_attention_heads", kHeads);
  config.key_value_heads = json.integer("num_key_value_heads", kHeads, config.heads);
  config.width = json.integer("hidden_size", kWidths);
  config.head_size = json.integer("head_dim", kWidths, 128);
  config.mlp_width = json.integer("intermediate_size", {1, 1 << 20});
  config.vocabulary = json.integer("vocab_size", kVocabularies);
  config.norm_epsilon = json.number("rms_norm_eps", kEpsilons, 1e-6);
  config.tied_embeddings = json.flag("tie_word_embeddings", false);
  config.rope_theta = json.number("rope_theta", kThetas, 10000);
  // The second is newer and may hold theta alone.
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (json.is_null(key)) continue;
    const PublicConfig rope = json.section(key);
    for (const char* type : {"rope_type", "type"})
      if (rope.text(type, "default") != "default") rope.unsupported(type, "default");
    config.rope_theta = rope.number("rope_theta", kThetas, config.rope_theta);
  }
  if (json.text("hidden_act", "silu") != "silu") json.unsupported("hidden_act", "silu");
  for (const char* key : {"attention_bias", "use_sliding_window"})
    if (json.flag(key, false)) json.unsupported(key, "false");
  // Under several names, which no configuration of a dense model has.
  for (const char* key : {"num_experts", "num_local_experts", "n_routed_experts"})
    if (json.integer(key, {.minimum = 0, .maximum = 1 << 20}, 0) != 0)
      json.unsupported(key, "0, or left out");
  for (const char* key : {"num_experts_per_tok", "moe_intermediate_size"})
    if (!json.is_null(key)) json.unsupported(key, "left out");
  if (const std::string type = json.text("model_type", "qwen3"); type != "qwen3")
    json.unsupported("model_type", "qwen3");
  if (config.heads % config.key_value_heads != 0)
    json.unsupported("num_key_value_heads", "a divisor of the heads");
  if (config.head_size % 2 != 0) json.unsupported("head_dim", "an even number");
  return config;
}

}  // namespace

Qwen3Config Qwen3Config::load(const std::filesystem::path& path) {
  return read_config(PublicConfig::load(path));
}

Qwen3Config Qwen3Config::parse(std::string_view json, const std::string& name) {
  return read_config(PublicConfig::parse(json, name));
}

void describe(ConfigVisitor& visitor, Qwen3Config& c) {
  visitor.integer("layers", c.layers, kLayers);
  visitor.integer("heads", c.heads, kHeads);
  visitor.integer("key_value_heads", c.key_value_heads, kHeads);
  visitor.integer("head_size", c.head_size, kWidths);
  visitor.integer("width", c.width, kWidths);
  visitor.integer("mlp_width", c.mlp_width, {1, 1 << 20});
  visitor.integer("vocabulary", c.vocabulary, kVocabularies);
  visitor.number("rope_theta", c.rope_theta, kThetas);
  visitor.number("norm_epsilon", c.norm_epsilon, kEpsilons);
  visitor.flag("tied_embeddings", c.tied_embeddings);
}

TransformerConfig transformer_config(const Qwen3Config& c) {
  TransformerConfig t;
  t.width = c.width;
  t.single_blocks = c.layers;
  t.heads = c.heads;
  t.head_size = c.head_size;
  t.key_value_heads = c.key_value_heads;
  t.mlp_hidden = c.mlp_width;
  t.norm_epsilon = c.norm_epsilon;
  t.query_key_norm_epsilon = c.norm_epsilon;
  t.rope_theta = c.rope_theta;
  t.tied_embeddings = c.tied_embeddings;
  t.slot_embedding = false;
  t.codebook_embedding = false;
  return t;
}

sequence::Vocabulary vocabulary(const Qwen3Config& config) {
  sequence::Vocabulary vocabulary;
  vocabulary.append(std::string(sequence::kRangeText), static_cast<std::int32_t>(config.vocabulary));
  return vocabulary;
}

PublicLayout public_layout(const Qwen3Config& c, const std::string& prefix) {
  PublicLayout layout;
  const std::int64_t queries = c.heads * c.head_size, stored = c.key_value_heads * c.head_size;
  layout.add(prefix + "embed_tokens.weight", {c.vocabulary, c.width}, "embedding.weight",
             sequence::kSpecialCount);
  for (std::int64_t i = 0; i < c.layers; ++i) {
    const std::string from = concat(prefix, "layers.", i, "."), to = concat("single_blocks.", i, ".");
    layout.add(from + "input_layernorm.weight", {c.width}, to + "attention_norm.weight");
    layout.add(from + "self_attn.q_proj.weight", {queries, c.width}, to + "qkv.weight");
    layout.add(from + "self_attn.k_proj.weight", {stored, c.width}, to + "qkv.weight", queries);
    layout.add(from + "self_attn.v_proj.weight", {stored, c.width}, to + "qkv.weight", queries + stored);
    layout.add(from + "self_attn.q_norm.weight", {c.head_size}, to + "query_norm.weight");
    layout.add(from + "self_attn.k_norm.weight", {c.head_size}, to + "key_norm.weight");
    layout.add(from + "self_attn.o_proj.weight", {c.width, queries}, to + "attention_out.weight");
    layout.add(from + "post_attention_layernorm.weight", {c.width}, to + "mlp_norm.weight");
    layout.add(from + "mlp.gate_proj.weight", {c.mlp_width, c.width}, to + "gate_up.weight");
    layout.add(from + "mlp.up_proj.weight", {c.mlp_width, c.width}, to + "gate_up.weight", c.mlp_width);
    layout.add(from + "mlp.down_proj.weight", {c.width, c.mlp_width}, to + "down.weight");
  }
  layout.add(prefix + "norm.weight", {c.width}, "final_norm.weight");
  if (c.tied_embeddings)
    layout.ignore("lm_head.weight");  // the embedding once more, which some files hold
  else
    layout.add("lm_head.weight", {c.vocabulary, c.width}, "head.weight", sequence::kSpecialCount);
  return layout;
}

PublicLayout layout_in(const WeightSource& weights, const Qwen3Config& config) {
  return public_layout(config, weights.contains("embed_tokens.weight") ? "" : "model.");
}

Qwen3::Qwen3(const Qwen3Config& config, const WeightSource& weights) : config_(config) {
  const PublicLayout layout = layout_in(weights, config);
  require_layout(weights, layout);
  transformer_ = std::make_unique<Transformer>(transformer_config(config), vocabulary(config),
                                               sequence::SequenceLayout{}, nn::ParameterStart::unset());
  nn::ParameterStore* const stores[] = {&transformer_->parameters()};
  read_weights(weights, layout, stores);
}

Tensor Qwen3::token_rows(const Tensor& ids) const {
  if (ids.numel() > 0 &&
      (ids.min().item<std::int64_t>() < 0 || ids.max().item<std::int64_t>() >= config_.vocabulary))
    fail(ErrorKind::input, "the ids of a text must be from 0 to ", config_.vocabulary - 1);
  const Tensor& table = transformer_->network().embedding;
  return at::embedding(table,
                       ids.flatten().to(table.device()) + static_cast<std::int64_t>(sequence::kSpecialCount));
}

Tensor Qwen3::token_logits(const Tensor& hidden) const {
  const Tensor head =
      transformer_->network().output_rows.weight().narrow(0, sequence::kSpecialCount, config_.vocabulary);
  return at::linear(hidden.to(at::kFloat), head);
}

Tensor Qwen3::hidden_states(const Tensor& ids) const {
  const c10::NoGradGuard guard;
  const Transformer::Network& net = transformer_->network();
  const std::int64_t batch = ids.size(0), length = ids.size(1);
  const NewRows rows = text_rows(batch, length, 0);
  std::vector<std::int64_t> starts;
  for (std::int64_t b = 0; b <= batch; ++b) starts.push_back(b * length);
  const RowPlan plan = net.plan({rows.offsets, rows.rows, rows.columns, rows.streams, starts});
  return net.run(token_rows(ids), plan).to(at::kFloat).view({batch, length, config_.width});
}

Tensor Qwen3::logits(const Tensor& ids) const {
  const c10::NoGradGuard guard;
  return token_logits(hidden_states(ids));
}

Tensor Qwen3::continue_greedily(const Tensor& ids, std::int64_t steps) const {
  const c10::NoGradGuard guard;
  const std::int64_t batch = ids.size(0), length = ids.size(1);
  CachedBlocks blocks(transformer_->network(), batch, length + steps);
  std::vector<Tensor> chosen;
  for (std::int64_t step = 0; step < steps; ++step) {
    const Tensor next = step == 0 ? ids : chosen.back();
    const std::int64_t before = step == 0 ? 0 : length + step - 1;
    const NewRows rows = text_rows(batch, next.size(1), before);
    const Tensor hidden =
        blocks.append(token_rows(next), rows).hidden.view({batch, next.size(1), config_.width});
    chosen.push_back(token_logits(hidden.select(1, next.size(1) - 1)).argmax(1, /*keepdim=*/true));
  }
  return chosen.empty() ? at::empty({batch, 0}, at::kLong) : at::concat(chosen, 1);
}

}  // namespace omni::model
