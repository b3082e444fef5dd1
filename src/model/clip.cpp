#include "omni/model/clip.h"

#include <ATen/core/grad_mode.h>

#include "omni/core/error.h"
#include "omni/kernels/set_attention.h"
#include "omni/nn/layers.h"
#include "public_config.h"

namespace omni::model {
namespace {

using at::Tensor;

Tensor activated(const Tensor& x, const std::string& activation) {
  return activation == "gelu" ? at::gelu(x) : x * at::sigmoid(1.702 * x);
}

// A pre-norm block.
struct ClipBlock {
  std::int64_t heads;
  std::string activation;
  nn::LayerNorm norm_1, norm_2;
  nn::Linear query, key, value, out, up, down;

  ClipBlock(const nn::ParameterScope& scope, const ClipTowerConfig& c)
      : heads(c.heads),
        activation(c.activation),
        norm_1(scope.sub("layer_norm1"), c.width, c.norm_epsilon),
        norm_2(scope.sub("layer_norm2"), c.width, c.norm_epsilon),
        query(scope.sub("self_attn").sub("q_proj"), c.width, c.width),
        key(scope.sub("self_attn").sub("k_proj"), c.width, c.width),
        value(scope.sub("self_attn").sub("v_proj"), c.width, c.width),
        out(scope.sub("self_attn").sub("out_proj"), c.width, c.width),
        up(scope.sub("mlp").sub("fc1"), c.width, c.mlp_width),
        down(scope.sub("mlp").sub("fc2"), c.mlp_width, c.width) {}

  Tensor operator()(const Tensor& x, bool causal) const {
    const Tensor normed = norm_1(x);
    const auto split = [&](const Tensor& rows) {
      return rows.view({rows.size(0), rows.size(1), heads, rows.size(2) / heads});
    };
    const Tensor mixed =
        kernels::set_attention(split(query(normed)), split(key(normed)), split(value(normed)), causal);
    const Tensor attended = x + out(mixed.reshape(x.sizes()));
    return attended + down(activated(up(norm_2(attended)), activation));
  }
};

struct ClipTower {
  std::vector<ClipBlock> blocks;
  Tensor positions;       // [rows, width]
  nn::Linear projection;  // without a weight where there is none

  ClipTower(const nn::ParameterScope& scope, const ClipTowerConfig& c, std::int64_t rows) {
    for (std::int64_t i = 0; i < c.layers; ++i)
      blocks.emplace_back(scope.sub("encoder").sub("layers").sub(i), c);
    positions =
        scope.sub("embeddings").sub("position_embedding").add("weight", {rows, c.width}, nn::Init::zeros());
  }
  void add_projection(const nn::ParameterScope& scope, const ClipTowerConfig& c) {
    if (c.projection > 0) projection = nn::Linear(scope, c.width, c.projection, /*with_bias=*/false);
  }
  Tensor run(Tensor rows, bool causal) const {
    for (const ClipBlock& block : blocks) rows = block(rows, causal);
    return rows;
  }
  Tensor project(const Tensor& pooled) const {
    return projection.weight.defined() ? projection(pooled) : Tensor();
  }
};

struct TextTower : ClipTower {
  Tensor tokens;  // [vocabulary, width]
  nn::LayerNorm final_norm;

  TextTower(const nn::ParameterScope& root, const ClipTextConfig& c)
      : ClipTower(root.sub("text_model"), c, c.positions),
        tokens(root.sub("text_model")
                   .sub("embeddings")
                   .sub("token_embedding")
                   .add("weight", {c.vocabulary, c.width}, nn::Init::zeros())),
        final_norm(root.sub("text_model").sub("final_layer_norm"), c.width, c.norm_epsilon) {
    add_projection(root.sub("text_projection"), c);
  }
};

struct VisionTower : ClipTower {
  Tensor class_token;  // [width]
  nn::Convolution patches;
  nn::LayerNorm first_norm, last_norm;

  VisionTower(const nn::ParameterScope& root, const ClipVisionConfig& c)
      : ClipTower(root.sub("vision_model"), c, c.side() * c.side() + 1),
        class_token(
            root.sub("vision_model").sub("embeddings").add("class_embedding", {c.width}, nn::Init::zeros())),
        patches(root.sub("vision_model").sub("embeddings").sub("patch_embedding"), 2, c.channels, c.width,
                c.patch_size, c.patch_size, 0, /*with_bias=*/false),
        first_norm(root.sub("vision_model").sub("pre_layrnorm"), c.width,
                   c.norm_epsilon),  // spelt so in the files
        last_norm(root.sub("vision_model").sub("post_layernorm"), c.width, c.norm_epsilon) {
    add_projection(root.sub("visual_projection"), c);
  }
};

void read_tower(const PublicConfig& json, ClipTowerConfig& c) {
  c.width = json.integer("hidden_size", kWidths, c.width);
  c.mlp_width = json.integer("intermediate_size", {1, 1 << 20}, c.mlp_width);
  c.layers = json.integer("num_hidden_layers", kLayers, c.layers);
  c.heads = json.integer("num_attention_heads", kHeads, c.heads);
  c.activation = json.text("hidden_act", c.activation);
  c.norm_epsilon = json.number("layer_norm_eps", kEpsilons, c.norm_epsilon);
  if (c.activation != "quick_gelu" && c.activation != "gelu")
    json.unsupported("hidden_act", "quick_gelu or gelu");
  if (c.width % c.heads != 0) json.unsupported("num_attention_heads", "a divisor of hidden_size");
}

// Where a key is absent, its value is what the publisher's library takes then.
ClipTextConfig read_text(const PublicConfig& json) {
  ClipTextConfig c;
  c.width = 512, c.mlp_width = 2048, c.layers = 12, c.heads = 8;
  read_tower(json, c);
  c.vocabulary = json.integer("vocab_size", kVocabularies, c.vocabulary);
  c.positions = json.integer("max_position_embeddings", {1, 1 << 20}, c.positions);
  c.end_token = json.integer("eos_token_id", {0, kVocabularies.maximum}, c.end_token);
  return c;
}

ClipVisionConfig read_vision(const PublicConfig& json) {
  ClipVisionConfig c;
  c.width = 768, c.mlp_width = 3072, c.layers = 12, c.heads = 12, c.patch_size = 32;
  read_tower(json, c);
  c.channels = json.integer("num_channels", {1, 1024}, c.channels);
  c.image_size = json.integer("image_size", {1, 65536}, c.image_size);
  c.patch_size = json.integer("patch_size", {1, 65536}, c.patch_size);
  if (c.patch_size > c.image_size) json.unsupported("patch_size", "at most image_size");
  return c;
}

void describe_tower(ConfigVisitor& v, ClipTowerConfig& c) {
  v.integer("width", c.width, kWidths);
  v.integer("mlp_width", c.mlp_width, {1, 1 << 20});
  v.integer("layers", c.layers, kLayers);
  v.integer("heads", c.heads, kHeads);
  v.choice("activation", c.activation, {"quick_gelu", "gelu"});
  v.number("norm_epsilon", c.norm_epsilon, kEpsilons);
  v.integer("projection", c.projection, {0, kWidths.maximum});
}

}  // namespace

ClipConfig ClipConfig::load(const std::filesystem::path& path, const WeightSource& weights) {
  const PublicConfig json = PublicConfig::load(path);
  const std::string type = json.text("model_type", "clip");
  ClipConfig config;
  const bool both = type == "clip";
  if (both || type == "clip_text_model") config.text = read_text(both ? json.section("text_config") : json);
  if (both || type == "clip_vision_model")
    config.vision = read_vision(both ? json.section("vision_config") : json);
  if (!config.text && !config.vision)
    json.unsupported("model_type", "clip, clip_text_model or clip_vision_model");
  const auto projection = [&](ClipTowerConfig& tower, const std::string& tensor) {
    // Both towers' models carry it; one tower's may or may not.
    tower.projection = both || weights.contains(tensor) ? json.integer("projection_dim", kWidths, 512) : 0;
  };
  if (config.text) projection(*config.text, "text_projection.weight");
  if (config.vision) projection(*config.vision, "visual_projection.weight");
  return config;
}

void describe(ConfigVisitor& visitor, ClipConfig& c) {
  bool text = c.text.has_value(), vision = c.vision.has_value();
  visitor.flag("has_text", text);
  visitor.flag("has_vision", vision);
  ClipTextConfig text_config = c.text.value_or(ClipTextConfig{});
  ClipVisionConfig vision_config = c.vision.value_or(ClipVisionConfig{});
  visitor.section("text", [&](ConfigVisitor& v) {
    describe_tower(v, text_config);
    v.integer("vocabulary", text_config.vocabulary, kVocabularies);
    v.integer("positions", text_config.positions, {1, 1 << 20});
    v.integer("end_token", text_config.end_token, {0, kVocabularies.maximum});
  });
  visitor.section("vision", [&](ConfigVisitor& v) {
    describe_tower(v, vision_config);
    v.integer("channels", vision_config.channels, {1, 1024});
    v.integer("image_size", vision_config.image_size, {1, 65536});
    v.integer("patch_size", vision_config.patch_size, {1, 65536});
  });
  c.text.reset();
  c.vision.reset();
  if (text) c.text = text_config;
  if (vision) c.vision = vision_config;
}

void require_valid(const ClipConfig& config, const std::string& name) {
  const auto refuse = [&](const auto&... what) {
    fail(ErrorKind::input, "reading '", name, "': ", what...,
         ". The file is damaged or from another version");
  };
  const auto require_heads = [&](const char* tower, const ClipTowerConfig& c) {
    if (c.width % c.heads != 0)
      refuse(tower, ".heads is ", c.heads, ", which does not divide ", tower, ".width, ", c.width);
  };
  if (!config.text && !config.vision) refuse("has_text and has_vision are both false");
  if (config.text) require_heads("text", *config.text);
  if (!config.vision) return;
  require_heads("vision", *config.vision);
  if (config.vision->patch_size > config.vision->image_size)
    refuse("vision.patch_size is ", config.vision->patch_size, ", more than vision.image_size, ",
           config.vision->image_size);
}

struct Clip::Network {
  nn::ParameterStore parameters;
  std::optional<TextTower> text;
  std::optional<VisionTower> vision;

  Network(const ClipConfig& config, nn::ParameterStart start) : parameters(std::move(start)) {
    const nn::ParameterScope root(parameters);
    if (config.text) text.emplace(root, *config.text);
    if (config.vision) vision.emplace(root, *config.vision);
    parameters.set_trainable(false);
  }
};

namespace {

// Newer files of one tower alone leave its name out.
std::string without_tower(const std::string& name) {
  for (const std::string_view tower : {"text_model.", "vision_model."})
    if (name.starts_with(tower)) return name.substr(tower.size());
  return name;
}

}  // namespace

PublicLayout Clip::layout_in(const WeightSource& weights, const ClipConfig& config) {
  // The network's names are the publisher's.
  const Network shapes(config, nn::ParameterStart::shapes());
  const bool towerless = weights.contains("embeddings.position_embedding.weight");
  PublicLayout layout;
  for (const nn::Parameter& parameter : shapes.parameters.all())
    layout.add(towerless ? without_tower(parameter.name) : parameter.name, parameter.value.sizes().vec(),
               parameter.name);
  layout.ignore("logit_scale");  // of similarities between pictures and texts
  if (!config.text) layout.ignore_prefix("text_");
  if (!config.vision) {
    layout.ignore_prefix("vision_model.");
    layout.ignore("visual_projection.weight");
  }
  return layout;
}

Clip::Clip(const ClipConfig& config, const WeightSource& weights) : config_(config) {
  const PublicLayout layout = layout_in(weights, config);
  require_layout(weights, layout);
  network_ = std::make_unique<Network>(config, nn::ParameterStart::unset());
  nn::ParameterStore* const stores[] = {&network_->parameters};
  read_weights(weights, layout, stores);
}

Clip::~Clip() = default;
const nn::ParameterStore& Clip::parameters() const { return network_->parameters; }
void Clip::to(at::Device device) { network_->parameters.to(device); }

Clip::Features Clip::text(const Tensor& given_ids) const {
  const c10::NoGradGuard guard;
  ensure(network_->text.has_value(), "this CLIP has no text tower");
  const TextTower& tower = *network_->text;
  if (given_ids.size(1) < 1 || given_ids.size(1) > config_.text->positions)
    fail(ErrorKind::input, "a text of ", given_ids.size(1), " tokens does not fit CLIP's ",
         config_.text->positions, " places");
  if (given_ids.min().item<std::int64_t>() < 0 ||
      given_ids.max().item<std::int64_t>() >= config_.text->vocabulary)
    fail(ErrorKind::input, "the ids of a text must be from 0 to ", config_.text->vocabulary - 1);
  const Tensor ids = given_ids.to(tower.tokens.device());
  const Tensor rows = at::embedding(tower.tokens, ids) + tower.positions.narrow(0, 0, ids.size(1));
  const Tensor hidden = tower.final_norm(tower.run(rows, /*causal=*/true));
  const Tensor ends =
      config_.text->end_token == 2 ? ids.argmax(1) : ids.eq(config_.text->end_token).to(at::kInt).argmax(1);
  const Tensor pooled = hidden.gather(1, ends.view({-1, 1, 1}).expand({-1, 1, hidden.size(2)})).squeeze(1);
  return {hidden, pooled, tower.project(pooled)};
}

Clip::Features Clip::image(const Tensor& given_pixels) const {
  const c10::NoGradGuard guard;
  ensure(network_->vision.has_value(), "this CLIP has no vision tower");
  const VisionTower& tower = *network_->vision;
  const ClipVisionConfig& c = *config_.vision;
  const Tensor pixels = given_pixels.to(tower.positions.device());
  ensure(pixels.dim() == 4 && pixels.size(1) == c.channels && pixels.size(2) == c.image_size &&
             pixels.size(3) == c.image_size,
         "a picture of another size than CLIP's");
  const Tensor patches = tower.patches(pixels).flatten(2).transpose(1, 2);
  const Tensor first = tower.class_token.expand({pixels.size(0), 1, -1});
  const Tensor rows = tower.first_norm(at::concat({first, patches}, 1) + tower.positions);
  const Tensor hidden = tower.run(rows, /*causal=*/false);
  const Tensor pooled = tower.last_norm(hidden.select(1, 0));
  return {hidden, pooled, tower.project(pooled)};
}

Tensor clip_prompt_ids(const tokenizers::TextTokenizer& tokenizer, const ClipTextConfig& config,
                       const std::vector<std::string>& texts) {
  std::vector<std::vector<std::int32_t>> tokens;
  for (const std::string& text : texts) tokens.push_back(tokenizer.encode(text));
  return clip_prompt_ids(tokenizer, config, tokens);
}

Tensor clip_prompt_ids(const tokenizers::TextTokenizer& tokenizer, const ClipTextConfig& config,
                       const std::vector<std::vector<std::int32_t>>& texts) {
  const std::vector<std::int32_t> ends = tokenizer.encode("", /*with_special_tokens=*/true);
  if (ends.size() != 2)
    fail(ErrorKind::input, "the tokenizer puts ", ends.size(),
         " tokens around a text; CLIP's puts a start and an end");
  Tensor ids =
      at::full({static_cast<std::int64_t>(texts.size()), config.positions}, std::int64_t{ends[1]}, at::kLong);
  for (std::size_t t = 0; t < texts.size(); ++t) {
    const std::int64_t kept =
        std::min<std::int64_t>(static_cast<std::int64_t>(texts[t].size()), config.positions - 2);
    std::int64_t* const row = ids[static_cast<std::int64_t>(t)].mutable_data_ptr<std::int64_t>();
    row[0] = ends[0];
    std::copy_n(texts[t].begin(), kept, row + 1);
  }
  return ids;
}

}  // namespace omni::model
