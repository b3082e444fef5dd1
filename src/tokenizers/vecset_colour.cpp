#include "omni/tokenizers/vecset_colour.h"

namespace omni::tokenizers {

using at::Tensor;

namespace {

constexpr double kNormEpsilon = 1e-6;
constexpr std::int64_t kColourChannels = 3;

}  // namespace

void describe(ConfigVisitor& visitor, VecsetColourConfig& config) {
  visitor.integer("codes", config.codes, {.minimum = 0, .maximum = 4096});
  visitor.integer("layers", config.layers, {.minimum = 0, .maximum = 64});
  visitor.section("quantiser", [&](ConfigVisitor& s) { nn::describe(s, config.quantiser); });
}

VecsetColour::VecsetColour(const nn::ParameterScope& scope, const VecsetColourConfig& config,
                           std::int64_t width, std::int64_t heads, PointEmbedder embedder)
    : embedder_(std::move(embedder)) {
  const auto encoder = scope.sub("encoder");
  feat_in_ = nn::Linear(encoder.sub("in"), embedder_.width() + kColourChannels, width);
  feat_out_ = nn::Linear(encoder.sub("out"), width, width);
  query_ = encoder.add("query", {config.codes, width}, nn::Init::normal(0.5));
  encoder_cross_ = std::make_unique<VecsetBlock>(encoder.sub("cross"), width, heads, true);
  for (std::int64_t i = 0; i < config.layers; ++i)
    encoder_blocks_.emplace_back(encoder.sub("blocks").sub(i), width, heads, false);
  encoder_norm_ = nn::LayerNorm(encoder.sub("norm"), width, kNormEpsilon);

  const auto bottleneck = scope.sub("bottleneck");
  const std::int64_t dims = nn::dimensions_of(config.quantiser);
  quantiser_ = nn::make_quantiser(bottleneck, config.quantiser);
  code_in_ = nn::Linear(bottleneck.sub("in"), width, dims);
  code_out_ = nn::Linear(bottleneck.sub("out"), dims, width);

  const auto decoder = scope.sub("decoder");
  positions_ = decoder.add("positions", {config.codes, width}, nn::Init::normal(0.1));
  for (std::int64_t i = 0; i < config.layers; ++i)
    decoder_blocks_.emplace_back(decoder.sub("blocks").sub(i), width, heads, false);

  const auto head = scope.sub("head");
  query_in_ = nn::Linear(head.sub("in"), embedder_.width(), width);
  query_out_ = nn::Linear(head.sub("out"), width, width);
  head_cross_ = std::make_unique<VecsetBlock>(head.sub("cross"), width, heads, true);
  head_norm_ = nn::LayerNorm(head.sub("norm"), width, kNormEpsilon);
  head_ = nn::Linear(head.sub("colour"), width, kColourChannels);
}

void VecsetColour::compute_in(at::ScalarType type) {
  for (VecsetBlock* block : {encoder_cross_.get(), head_cross_.get()}) block->compute_in(type);
  for (auto* blocks : {&encoder_blocks_, &decoder_blocks_})
    for (VecsetBlock& block : *blocks) block.compute_in(type);
}

Tensor VecsetColour::encode(const Tensor& points, const Tensor& colours, const Tensor& latents) const {
  const Tensor features = at::concat({embedder_(points).detach(), colours}, -1);
  const Tensor data = at::concat({feat_out_(at::silu(feat_in_(features))), latents.detach()}, 1);
  Tensor h = query_.unsqueeze(0).expand({points.size(0), query_.size(0), query_.size(1)});
  h = (*encoder_cross_)(h, data);
  for (const auto& block : encoder_blocks_) h = block(h, h);
  return quantiser_->prepare(code_in_(encoder_norm_(h)));
}

VecsetBlock::KeysValues VecsetColour::context(const Tensor& code_values, const Tensor& latents) const {
  Tensor h = code_out_(code_values) + positions_;
  for (const auto& block : decoder_blocks_) h = block(h, h);
  return head_cross_->keys_values(at::concat({latents.detach(), h}, 1));
}

Tensor VecsetColour::colours(const VecsetBlock::KeysValues& context, const Tensor& points) const {
  const Tensor h = query_out_(at::silu(query_in_(embedder_(points).detach())));
  return at::sigmoid(head_(head_norm_(head_cross_->attend(h, context))));
}

}  // namespace omni::tokenizers
