#include "omni/model/cube3d_gpt.h"

#include <ATen/core/grad_mode.h>

#include "cached_blocks.h"
#include "omni/core/error.h"
#include "omni/model/panel_file.h"
#include "public_config.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

Tensor file_order(const Tensor& rows, const Cube3dGptConfig& config) {
  return at::concat({rows.narrow(0, sequence::kSpecialCount, config.shape_codes),
                     rows[sequence::kBos].unsqueeze(0), rows[sequence::kEos].unsqueeze(0),
                     rows[sequence::kPad].unsqueeze(0)});
}

// Condition rows stand at position 0, shape rows at 0, 1, 2, ...
void add_rows(NewRows& rows, std::int32_t sequence, std::int64_t count, std::uint8_t stream,
              std::int32_t first_position) {
  for (std::int64_t i = 0; i < count; ++i) {
    rows.sequences.push_back(sequence);
    rows.offsets.push_back(stream == 0 ? 0 : first_position + static_cast<std::int32_t>(i));
    rows.rows.push_back(0);
    rows.columns.push_back(0);
    rows.streams.push_back(stream);
  }
}

Cube3dGptConfig read_config(const PublicConfig& json) {
  Cube3dGptConfig config;
  config.dual_layers = json.integer("n_layer", kLayers);
  config.single_layers = json.integer("n_single_layer", {.minimum = 0, .maximum = kLayers.maximum});
  config.heads = json.integer("n_head", kHeads);
  config.width = json.integer("n_embd", kWidths);
  config.shape_codes = json.integer("shape_model_vocab_size", kVocabularies);
  config.text_width = json.integer("text_model_embed_dim", kWidths);
  config.code_dimension = json.integer("shape_model_embed_dim", kWidths);
  config.box = json.flag("use_bbox", false);
  config.rope_theta = json.number("rope_theta", kThetas);
  config.norm_epsilon = json.number("eps", kEpsilons);
  if (config.width % (2 * config.heads) != 0) json.unsupported("n_head", "a divisor of half of n_embd");
  if (!json.flag("bias", true)) json.unsupported("bias", "true");
  if (json.flag("use_pooled_text_embed", false)) json.unsupported("use_pooled_text_embed", "false");
  return config;
}

}  // namespace

Cube3dGptConfig Cube3dGptConfig::load(const std::filesystem::path& path) {
  return read_config(PublicConfig::load(path));
}

Cube3dGptConfig Cube3dGptConfig::parse(std::string_view json, const std::string& name) {
  return read_config(PublicConfig::parse(json, name));
}

void describe(ConfigVisitor& visitor, Cube3dGptConfig& c) {
  visitor.integer("dual_layers", c.dual_layers, kLayers);
  visitor.integer("single_layers", c.single_layers, {.minimum = 0, .maximum = kLayers.maximum});
  visitor.integer("heads", c.heads, kHeads);
  visitor.integer("width", c.width, kWidths);
  visitor.integer("shape_codes", c.shape_codes, kVocabularies);
  visitor.integer("text_width", c.text_width, kWidths);
  visitor.integer("code_dimension", c.code_dimension, kWidths);
  visitor.flag("box", c.box);
  visitor.number("rope_theta", c.rope_theta, kThetas);
  visitor.number("norm_epsilon", c.norm_epsilon, kEpsilons);
}

TransformerConfig transformer_config(const Cube3dGptConfig& c) {
  TransformerConfig t;
  t.width = c.width;
  t.streams = 2;
  t.dual_blocks = c.dual_layers;
  t.single_blocks = c.single_layers;
  t.single_over = "generated";
  t.heads = c.heads;
  t.mlp_hidden = 4 * c.width;
  t.norm = "layer";
  t.norm_scale = false;
  t.norm_epsilon = c.norm_epsilon;
  t.bias = true;
  t.rope = "interleaved";
  t.rope_theta = c.rope_theta;
  t.tied_embeddings = false;
  t.slot_embedding = false;
  t.codebook_embedding = false;
  return t;
}

sequence::Vocabulary vocabulary(const Cube3dGptConfig& config) {
  sequence::Vocabulary vocabulary;
  vocabulary.append(std::string(sequence::kRangeGeometry), static_cast<std::int32_t>(config.shape_codes));
  return vocabulary;
}

namespace {

// Queries, keys and values of one stream; queries and keys have no bias but where there are keys alone.
void add_attention(PublicLayout& layout, std::int64_t width, std::int64_t head_size, const std::string& from,
                   const std::string& to, bool keys_only) {
  if (keys_only) {
    layout.add_linear(from + ".c_k", width, width, to + ".qkv");
    layout.add_linear(from + ".c_v", width, width, to + ".qkv", width);
  } else {
    layout.add(from + ".c_qk.weight", {2 * width, width}, to + ".qkv.weight");
    layout.add_linear(from + ".c_v", width, width, to + ".qkv", 2 * width);
    layout.add(from + ".q_norm.weight", {head_size}, to + ".query_norm.weight");
  }
  layout.add(from + ".k_norm.weight", {head_size}, to + ".key_norm.weight");
}

void add_rest(PublicLayout& layout, std::int64_t width, const std::string& projection, const std::string& mlp,
              const std::string& to) {
  const std::int64_t hidden = 4 * width;
  layout.add_linear(projection, width, width, to + ".attention_out");
  layout.add_linear(mlp + ".gate_proj", hidden, width, to + ".gate_up");
  layout.add_linear(mlp + ".up_proj", hidden, width, to + ".gate_up", hidden);
  layout.add_linear(mlp + ".down_proj", width, hidden, to + ".down");
}

// The file's rows are the codes, then bos, eos, pad; ours are the specials, then the codes.
PublicTensor token_rows(const Cube3dGptConfig& c, const std::string& name, const std::string& parameter) {
  PublicTensor tensor{
      name, {c.shape_codes + 3, c.width}, {{parameter, sequence::kSpecialCount, 0, c.shape_codes}}};
  std::int64_t row = c.shape_codes;
  for (const std::int32_t special : {sequence::kBos, sequence::kEos, sequence::kPad})
    tensor.pieces.push_back({parameter, special, row++, 1});
  return tensor;
}

// Condition and code vectors to the transformer's width, beside it.
std::vector<std::pair<std::string, std::int64_t>> projections(const Cube3dGptConfig& c) {
  std::vector<std::pair<std::string, std::int64_t>> all = {{"text_proj", c.text_width},
                                                           {"shape_proj", c.code_dimension}};
  if (c.box) all.emplace_back("bbox_proj", 3);
  return all;
}

}  // namespace

PublicLayout public_layout(const Cube3dGptConfig& c) {
  PublicLayout layout;
  const std::int64_t head_size = c.width / c.heads;
  for (std::int64_t i = 0; i < c.dual_layers; ++i) {
    const std::string from = concat("transformer.dual_blocks.", i), to = concat("dual_blocks.", i);
    const bool last = i + 1 == c.dual_layers;
    add_attention(layout, c.width, head_size, from + ".attn.pre_c", to + ".text", last);
    add_attention(layout, c.width, head_size, from + ".attn.pre_x", to + ".generated", false);
    add_rest(layout, c.width, from + ".post_1.c_proj", from + ".post_1.mlp", to + ".generated");
    if (!last) add_rest(layout, c.width, from + ".post_2.c_proj", from + ".post_2.mlp", to + ".text");
  }
  for (std::int64_t i = 0; i < c.single_layers; ++i) {
    const std::string from = concat("transformer.single_blocks.", i), to = concat("single_blocks.", i);
    add_attention(layout, c.width, head_size, from + ".attn", to, false);
    add_rest(layout, c.width, from + ".attn.c_proj", from + ".mlp", to);
  }
  layout.add(token_rows(c, "transformer.wte.weight", "embedding.weight"));
  layout.add(token_rows(c, "lm_head.weight", "head.weight"));
  for (const auto& [name, inputs] : projections(c)) layout.add_linear(name, c.width, inputs, name);
  return layout;
}

namespace {

void add_projections(nn::ParameterStore& store, const Cube3dGptConfig& config) {
  for (const auto& [name, inputs] : projections(config)) {
    store.add(name + ".weight", {config.width, inputs}, nn::Init::zeros());
    store.add(name + ".bias", {config.width}, nn::Init::zeros());
  }
}

}  // namespace

// Memory that nobody has written to costs the host nothing: it is moved before it is filled.
void Cube3dGpt::read(const WeightSource& weights, const PublicLayout& layout, at::Device device,
                     at::ScalarType matrix_type) {
  transformer_ = std::make_unique<Transformer>(transformer_config(config_), vocabulary(config_),
                                               sequence::SequenceLayout{}, nn::ParameterStart::unset());
  nn::ParameterStore* const stores[] = {&transformer_->parameters(), &projections_};
  transformer_->to(device, matrix_type);
  projections_.to(device);
  read_weights(weights, layout, stores);
}

Cube3dGpt::Cube3dGpt(const Cube3dGptConfig& config, const WeightSource& weights, at::Device device,
                     at::ScalarType matrix_type)
    : config_(config) {
  const PublicLayout layout = public_layout(config);
  require_layout(weights, layout);
  add_projections(projections_, config);
  read(weights, layout, device, matrix_type);
}

Cube3dGpt::Cube3dGpt(const Cube3dGptConfig& config, const WeightSource& weights,
                     const std::optional<kernels::DecodeFormat>& mapped)
    : config_(config) {
  const PublicLayout layout = public_layout(config);
  require_layout(weights, layout);
  add_projections(projections_, config);
  if (!mapped) {
    read(weights, layout, at::kCPU);
    return;
  }
  const auto values = [&](const std::string& name, at::IntArrayRef shape) {
    return read_parameter(weights, layout, name, shape);
  };
  transformer_ = map_transformer({.files = weights.files(),
                                  .format = *mapped,
                                  .config = transformer_config(config),
                                  .vocabulary = vocabulary(config),
                                  .layout = {},
                                  .values = values,
                                  .changed = {"embedding.weight"}});  // see set_codebook()
  const c10::NoGradGuard guard;
  for (const nn::Parameter& parameter : projections_.all())
    at::Tensor(parameter.value).copy_(values(parameter.name, parameter.value.sizes()));
}

void Cube3dGpt::set_codebook(const Tensor& codebook) {
  const c10::NoGradGuard guard;
  ensure(codebook.size(0) == config_.shape_codes && codebook.size(1) == config_.code_dimension,
         "the codebook has another shape");
  const Tensor weight = projections_.find("shape_proj.weight")->value;
  const Tensor rows = at::linear(codebook.to(weight.device(), at::kFloat), weight,
                                 projections_.find("shape_proj.bias")->value);
  transformer_->network().embedding.narrow(0, sequence::kSpecialCount, config_.shape_codes).copy_(rows);
}

Tensor Cube3dGpt::condition(const Tensor& text_features, const Tensor& box) const {
  const c10::NoGradGuard guard;
  const auto project = [&](const std::string& name, const Tensor& x) {
    const Tensor weight = projections_.find(name + ".weight")->value;
    return at::linear(x.to(weight.device(), at::kFloat), weight, projections_.find(name + ".bias")->value);
  };
  const Tensor text = project("text_proj", text_features);
  return (config_.box ? at::concat({text, project("bbox_proj", box).unsqueeze(1)}, 1) : text).cpu();
}

Tensor Cube3dGpt::logits(const Tensor& condition, const Tensor& shape_codes) const {
  const c10::NoGradGuard guard;
  const Transformer::Network& net = transformer_->network();
  const std::int64_t batch = condition.size(0), prompt = condition.size(1), steps = shape_codes.size(1) + 1;
  const Tensor start = at::full({batch, 1}, static_cast<std::int64_t>(sequence::kBos), at::kLong);
  const auto device = net.embedding.device();
  const Tensor tokens =
      at::concat({start, shape_codes.to(at::kLong) + static_cast<std::int64_t>(sequence::kSpecialCount)}, 1)
          .to(device);
  const Tensor rows =
      at::concat({condition.to(device), at::embedding(net.embedding, tokens)}, 1).flatten(0, 1);
  NewRows places;
  std::vector<std::int64_t> starts = {0};
  for (std::int64_t b = 0; b < batch; ++b) {
    add_rows(places, static_cast<std::int32_t>(b), prompt, 0, 0);
    add_rows(places, static_cast<std::int32_t>(b), steps, 1, 0);
    starts.push_back(starts.back() + prompt + steps);
  }
  const RowPlan plan = net.plan({places.offsets, places.rows, places.columns, places.streams, starts});
  const Tensor hidden = net.run(rows.contiguous(), plan).to(at::kFloat);
  return at::mm(hidden, file_order(net.head, config_).t()).view({batch, steps, config_.shape_codes + 3});
}

std::vector<std::vector<std::int32_t>> Cube3dGpt::greedy_codes(const Tensor& condition,
                                                               const Tensor& unconditional,
                                                               const GreedyOptions& options) const {
  const c10::NoGradGuard guard;
  const Transformer::Network& net = transformer_->network();
  const std::int64_t batch = condition.size(0), prompt = condition.size(1);
  ensure(unconditional.size(0) == batch || unconditional.size(0) == 1,
         "one unconditional prompt, or one per row");
  const Tensor head = net.head.narrow(0, sequence::kSpecialCount, config_.shape_codes);
  // Sequences 0 .. batch - 1 carry the condition, the others none.
  CachedBlocks blocks(net, 2 * batch, prompt + options.steps);
  if (options.reference_cache) blocks.see_first_generated_row_alone();
  const auto device = net.embedding.device();
  const Tensor prompts = at::concat({condition, unconditional.expand({batch, -1, -1})}, 0).to(device);
  const Tensor bos = net.embedding[sequence::kBos].view({1, 1, -1}).expand({2 * batch, 1, -1});
  Tensor rows = at::concat({prompts, bos}, 1).flatten(0, 1).contiguous();
  std::vector<std::vector<std::int32_t>> codes(batch);
  for (std::int64_t step = 0; step < options.steps; ++step) {
    NewRows places;
    for (std::int32_t s = 0; s < 2 * batch; ++s) {
      if (step == 0) add_rows(places, s, prompt, 0, 0);
      add_rows(places, s, 1, 1, static_cast<std::int32_t>(step));
    }
    const Tensor hidden = blocks.append(rows, places).hidden.to(at::kFloat);  // one output per sequence
    const Tensor logits = at::mm(hidden, head.t());
    const double guidance =
        options.guidance * static_cast<double>(options.steps - step) / static_cast<double>(options.steps);
    const Tensor guided =
        logits.narrow(0, 0, batch) * (1 + guidance) - logits.narrow(0, batch, batch) * guidance;
    const Tensor best = guided.argmax(1);
    std::vector<std::int64_t> chosen;
    for (std::int64_t b = 0; b < batch; ++b) {
      codes[b].push_back(static_cast<std::int32_t>(best[b].item<std::int64_t>()));
      chosen.push_back(codes[b].back() + sequence::kSpecialCount);
    }
    const Tensor next = at::embedding(net.embedding, index_tensor(chosen).to(device));
    rows = at::concat({next, next}, 0);
  }
  return codes;
}

}  // namespace omni::model
