#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "farthest_points.h"
#include "omni/core/error.h"
#include "omni/core/finite_values.h"
#include "omni/tokenizers/shape_vecset.h"

namespace omni::tokenizers {

using at::Tensor;

namespace {

constexpr double kLayerNormEpsilon = 1e-6;
constexpr std::int64_t kNormalChannels = 3;
constexpr std::int64_t kMaximumRatio = 32;  // of the full length to the shortest prefix

}  // namespace

void describe(ConfigVisitor& visitor, VecsetShapeConfig& config) {
  visitor.integer("latents", config.latents, {.minimum = 1, .maximum = 65536});
  visitor.flag("class_token", config.class_token);
  visitor.integer("width", config.width, {.minimum = 2, .maximum = 16384});
  visitor.integer("heads", config.heads, {.minimum = 1, .maximum = 256});
  visitor.integer("frequencies", config.frequencies, {.minimum = 1, .maximum = 1024});
  visitor.integer("encoder_layers", config.encoder_layers, {.minimum = 1, .maximum = 256});
  visitor.integers("encoder_cross_attention_layers", config.encoder_cross_attention_layers,
                   {.minimum = 0, .maximum = 255});
  visitor.integer("decoder_layers", config.decoder_layers, {.minimum = 0, .maximum = 256});
  visitor.section("quantiser", [&](ConfigVisitor& s) { nn::describe(s, config.quantiser); });
  visitor.integer("surface_points", config.surface_points, {.minimum = 16, .maximum = 1 << 20});
  visitor.number("sharp_edge_share", config.sharp_edge_share, {.minimum = 0, .maximum = 1});
  visitor.flag("adaptive_length", config.adaptive_length);
  visitor.choice("queries", config.queries, {"learned", "farthest_points"});
  visitor.section("colour", [&](ConfigVisitor& s) { describe(s, config.colour); });
}

void validate(const VecsetShapeConfig& config) {
  if (config.queries == "farthest_points" && config.surface_points < config.latents)
    fail(ErrorKind::usage, "shape tokenizer: queries are ", config.latents, " of only ",
         config.surface_points, " surface points. Raise surface_points");
  if (config.width % config.heads != 0)
    fail(ErrorKind::usage, "shape tokenizer: width ", config.width, " is not a multiple of heads ",
         config.heads, ". Change one of them");
  for (const auto layer : config.encoder_cross_attention_layers)
    if (layer >= config.encoder_layers)
      fail(ErrorKind::usage, "shape tokenizer: encoder_cross_attention_layers names layer ", layer, " of ",
           config.encoder_layers, ". Layers count from 0");
}

VecsetShapeNetwork::VecsetShapeNetwork(const VecsetShapeConfig& config, nn::ParameterStart start)
    : config_(config), store_(std::move(start)) {
  validate(config);
  const nn::ParameterScope root(store_);
  const auto E = config.width;
  embedder_ = PointEmbedder(root.sub("embedder"), config.frequencies);

  const auto encoder = root.sub("encoder");
  feat_in_ = nn::Linear(encoder.sub("feat_in").sub("in_layer"), embedder_.width() + kNormalChannels, E);
  feat_out_ = nn::Linear(encoder.sub("feat_in").sub("out_layer"), E, E);
  query_ = encoder.add("query", {config.latents + (config.class_token ? 1 : 0), E}, nn::Init::normal(0.5));
  const std::set<std::int64_t> cross(config.encoder_cross_attention_layers.begin(),
                                     config.encoder_cross_attention_layers.end());
  for (std::int64_t i = 0; i < config.encoder_layers; ++i)
    encoder_blocks_.emplace_back(encoder.sub("blocks").sub(i), E, config.heads, cross.contains(i));
  encoder_norm_ = nn::LayerNorm(encoder.sub("ln_f"), E, kLayerNormEpsilon);

  const auto bottleneck = root.sub("bottleneck").sub("block");
  const std::int64_t dims = nn::dimensions_of(config.quantiser);
  quantiser_ = nn::make_quantiser(bottleneck, config.quantiser);
  code_in_ = nn::Linear(bottleneck.sub("c_in"), E, dims);
  code_out_ = nn::Linear(bottleneck.sub("c_out"), dims, E);
  if (config.quantiser.kind == "spherical") {  // present in the public layout, used by nothing
    bottleneck.sub("c_x").add("weight", {dims, E}, nn::Init::zeros(), {.trainable = false});
    bottleneck.sub("c_x").add("bias", {dims}, nn::Init::zeros(), {.trainable = false});
  }

  const auto decoder = root.sub("decoder");
  positions_ = decoder.add("positional_encodings", {config.latents, E}, nn::Init::normal(0.1));
  lengths_ = {config.latents};
  for (std::int64_t n = config.latents / 2;
       config.adaptive_length && n >= std::max<std::int64_t>(1, config.latents / kMaximumRatio); n /= 2)
    lengths_.insert(lengths_.begin(), n);
  if (config.adaptive_length)
    length_rows_ =
        decoder.add("lengths", {static_cast<std::int64_t>(lengths_.size()), E}, nn::Init::normal(0.1));
  for (std::int64_t i = 0; i < config.decoder_layers; ++i)
    decoder_blocks_.emplace_back(decoder.sub("blocks").sub(i), E, config.heads, false);

  const auto field = root.sub("occupancy_decoder");
  query_in_ = nn::Linear(field.sub("query_in").sub("in_layer"), embedder_.width(), E);
  query_out_ = nn::Linear(field.sub("query_in").sub("out_layer"), E, E);
  field_block_ = std::make_unique<VecsetBlock>(field.sub("attn_out"), E, config.heads, true);
  field_norm_ = nn::LayerNorm(field.sub("ln_f"), E, kLayerNormEpsilon);
  head_ = nn::Linear(field.sub("c_head"), E, 1);
  if (config.colour.codes > 0)
    colour_ = std::make_unique<VecsetColour>(root.sub("colour"), config.colour, E, config.heads, embedder_);
}

VecsetShapeNetwork::Encoded VecsetShapeNetwork::encode(const Tensor& surface) const {
  const Tensor features =
      at::concat({embedder_(surface.narrow(-1, 0, 3)), surface.narrow(-1, 3, kNormalChannels)}, -1);
  const Tensor data = feat_out_(at::silu(feat_in_(features.to(type_))));
  Tensor h = query_.unsqueeze(0).expand({surface.size(0), query_.size(0), query_.size(1)});
  if (config_.queries == "farthest_points") h = h + at_farthest_points(surface, data);
  for (const auto& block : encoder_blocks_) h = block(h, data, config_.adaptive_length);
  h = encoder_norm_(h);
  if (!config_.class_token) return {h, {}};
  return {h.narrow(1, 1, config_.latents), h.select(1, 0)};
}

// The features of the farthest points, [B, rows of query_, E]; zero for the class token.
Tensor VecsetShapeNetwork::at_farthest_points(const Tensor& surface, const Tensor& data) const {
  const Tensor chosen = farthest_points(surface.narrow(-1, 0, 3), config_.latents);
  const Tensor rows = data.gather(1, chosen.unsqueeze(-1).expand({-1, -1, data.size(2)})).to(at::kFloat);
  return config_.class_token ? at::constant_pad_nd(rows, {0, 0, 1, 0}) : rows;
}

Tensor VecsetShapeNetwork::prepared(const Tensor& latents) const {
  return quantiser_->prepare(code_in_(latents));
}

Tensor VecsetShapeNetwork::decode(const Tensor& code_values) const {
  const std::int64_t length = code_values.size(1);
  const auto offered = std::find(lengths_.begin(), lengths_.end(), length);
  ensure(offered != lengths_.end(), "decoding ", length, " codes, which no length is");
  Tensor h = code_out_(code_values) + positions_.narrow(0, 0, length);
  if (length_rows_.defined()) h = h + length_rows_[offered - lengths_.begin()];
  for (const auto& block : decoder_blocks_) h = block(h, h);
  return h;
}

VecsetBlock::KeysValues VecsetShapeNetwork::field_keys_values(const Tensor& latents) const {
  return field_block_->keys_values(latents);
}

Tensor VecsetShapeNetwork::field(const VecsetBlock::KeysValues& latents, const Tensor& queries) const {
  const Tensor h = query_out_(at::silu(query_in_(embedder_(queries).to(type_)))).to(at::kFloat);
  return head_(field_norm_(field_block_->attend(h, latents))).squeeze(-1);
}

Tensor VecsetShapeNetwork::field(const Tensor& latents, const Tensor& queries) const {
  return field(field_keys_values(latents), queries);
}

void VecsetShapeNetwork::compute_in(at::ScalarType type) {
  if (type != at::kFloat && type != at::kBFloat16)
    fail(ErrorKind::usage, "shape tokenizer: the vecset layout computes in fp32 or bf16, not in ",
         at::toString(type));
  type_ = type;
  for (nn::Linear* layer : {&feat_in_, &feat_out_, &query_in_, &query_out_})
    convert_frozen_weights(*layer, type);
  for (auto* blocks : {&encoder_blocks_, &decoder_blocks_})
    for (VecsetBlock& block : *blocks) block.compute_in(type);
  field_block_->compute_in(type);
  if (colour_) colour_->compute_in(type);
  // The store's masters are the same memory no longer, and would hold what was converted.
  const c10::InferenceMode ordinary_tensors(false);
  for (const nn::Parameter& parameter : store_.all())
    if (parameter.value.scalar_type() != parameter.master.scalar_type())
      Tensor(parameter.master).set_data(parameter.value.detach());
}

namespace {

constexpr std::string_view kColour = "colour.";

// The shared embedder's, in the order in which the last one there is taken.
const std::array<std::string, 3>& embedder_names() {
  static const std::array<std::string, 3> names = {"embedder.weight", "encoder.embedder.weight",
                                                   "occupancy_decoder.embedder.weight"};
  return names;
}

bool holds_colour(const SafetensorsFile& file) {
  return std::any_of(file.tensors().begin(), file.tensors().end(),
                     [](const auto& entry) { return entry.first.starts_with(kColour); });
}

// Where a parameter lies in the file.
std::string name_in(const SafetensorsFile& file, const std::string& parameter) {
  std::string name = parameter;
  if (parameter == embedder_names()[0])
    for (const std::string& alias : embedder_names())
      if (file.contains(alias)) name = alias;
  return name;
}

const TensorView& fitting_tensor(const SafetensorsFile& file, const std::string& name,
                                 at::IntArrayRef shape) {
  if (!file.contains(name)) {
    try {
      file.at(name);  // which knows why
    } catch (const Error& error) {
      throw Error(ErrorKind::input, concat(error.what(), ". The network expects it in the shape ", shape,
                                           ". Take the file anew from where it came"));
    }
  }
  const TensorView& view = file.at(name);
  if (at::IntArrayRef(view.shape) != shape)
    fail(ErrorKind::input, "reading ", file.name(), ": tensor ", name, " has shape ",
         at::IntArrayRef(view.shape), ", the configuration says ", shape,
         ". Give the configuration that belongs to the file");
  return view;
}

}  // namespace

void VecsetShapeNetwork::require_fitting(const SafetensorsFile& file) const {
  const bool coloured = holds_colour(file);
  std::set<std::string> known(embedder_names().begin(), embedder_names().end());
  for (const nn::Parameter& parameter : store_.all()) {
    known.insert(parameter.name);
    if (coloured || !parameter.name.starts_with(kColour))
      fitting_tensor(file, name_in(file, parameter.name), parameter.value.sizes());
  }
  for (const auto& [name, view] : file.tensors())
    if (!known.contains(name))
      fail(ErrorKind::input, "reading ", file.name(), ": tensor ", name,
           " has no place in this network. Give the configuration that belongs to the file");
}

void VecsetShapeNetwork::load(const SafetensorsFile& file) {
  const c10::NoGradGuard no_grad;
  require_fitting(file);
  const bool coloured = holds_colour(file);
  for (const nn::Parameter& parameter : store_.all()) {
    if (!coloured && parameter.name.starts_with(kColour)) continue;
    const std::string name = name_in(file, parameter.name);
    const TensorView& view = file.at(name);
    require_finite(view, name, file.name());
    Tensor target = parameter.value;
    target.copy_(nn::to_tensor(view));
  }
}

}  // namespace omni::tokenizers
