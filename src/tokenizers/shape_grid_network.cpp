#include "omni/core/error.h"
#include "omni/tokenizers/shape_grid.h"

namespace omni::tokenizers {

using at::Tensor;

void describe(ConfigVisitor& visitor, GridShapeConfig& config) {
  visitor.integer("resolution", config.resolution, {.minimum = 8, .maximum = 256});
  visitor.integer("samples_per_axis", config.samples_per_axis, {.minimum = 1, .maximum = 8});
  visitor.integers("encoder_kernels", config.encoder_kernels, {.minimum = 2, .maximum = 4});
  visitor.integers("encoder_channels", config.encoder_channels, {.minimum = 1, .maximum = 4096});
  visitor.integer("encoder_mixers", config.encoder_mixers, {.minimum = 0, .maximum = 64});
  visitor.section("quantiser", [&](ConfigVisitor& s) { nn::describe(s, config.quantiser); });
  visitor.integers("decoder_channels", config.decoder_channels, {.minimum = 1, .maximum = 4096});
  visitor.integers("decoder_blocks", config.decoder_blocks, {.minimum = 0, .maximum = 64});
  visitor.integer("output_resolution", config.output_resolution, {.minimum = 8, .maximum = 512});
  visitor.section("colour", [&](ConfigVisitor& s) {
    s.integer("slots", config.colour.slots, {.minimum = 0, .maximum = 4096});
    s.integer("palette", config.colour.palette, {.minimum = 2, .maximum = 65536});
    s.added_later(config.colour.context_blocks == 0, [&](ConfigVisitor& added) {
      added.integer("context_blocks", config.colour.context_blocks, {.minimum = 0, .maximum = 64});
    });
    s.integer("channels", config.colour.channels, {.minimum = 1, .maximum = 4096});
    s.integer("blocks", config.colour.blocks, {.minimum = 0, .maximum = 64});
  });
  visitor.choice("weights", config.weights, {"f16", "f32"});
  visitor.flag("adaptive_length", config.adaptive_length);
}

void validate(const GridShapeConfig& config) {
  const auto expect = [](bool holds, const auto&... parts) {
    if (!holds) fail(ErrorKind::usage, "shape tokenizer: ", parts...);
  };
  const std::size_t stages = config.encoder_channels.size();
  expect(config.encoder_kernels.size() == stages && stages >= 2 && stages <= 4,
         "encoder_kernels and encoder_channels need one value for each of two to four stride-2 stages");
  const std::int64_t cells = std::int64_t{1} << stages, side = config.resolution / cells;
  expect(config.resolution % cells == 0, "resolution ", config.resolution, " is not a multiple of ", cells,
         ", which ", stages, " stages make one code of. Use 32 or 64");
  expect(config.output_resolution % (2 * side) == 0, "output_resolution ", config.output_resolution,
         " is not a multiple of ", 2 * side, ", twice the codes a side. Use ", config.resolution, " or ",
         2 * config.resolution);
  for (const auto kernel : config.encoder_kernels)
    expect(kernel % 2 == 0, "encoder_kernels holds ", kernel, ". Use 2 or 4");
  expect(config.decoder_channels.size() == 2 && config.decoder_blocks.size() == 2,
         "decoder_channels and decoder_blocks need two values each");
}

GridShapeNetwork::GridShapeNetwork(const GridShapeConfig& config, nn::ParameterStart start)
    : config_(config), store_(std::move(start)) {
  validate(config);
  const nn::ParameterScope root(store_);
  const auto encoder = root.sub("encoder");
  std::int64_t channels = 1;
  for (std::size_t i = 0; i < config.encoder_channels.size(); ++i) {
    const auto kernel = config.encoder_kernels[i];
    stages_.emplace_back(encoder.sub("stages").sub(static_cast<std::int64_t>(i)), 3, channels,
                         config.encoder_channels[i], kernel, 2, (kernel - 2) / 2);
    channels = config.encoder_channels[i];
  }
  for (std::int64_t i = 0; i < config.encoder_mixers; ++i) {
    const auto scope = encoder.sub("mixers").sub(i);
    mixers_.push_back({nn::LayerNorm(channels, kGridNormEpsilon),
                       nn::Linear(scope.sub("up"), channels, 2 * channels),
                       nn::Linear(scope.sub("down"), 2 * channels, channels)});
  }
  const auto decoder = root.sub("decoder");
  const auto coarse = config.decoder_channels[0], fine = config.decoder_channels[1], side = code_side();
  codes_ = std::make_unique<GridCodes>(root.sub("bottleneck"), decoder, config.quantiser, side, channels,
                                       coarse, config.adaptive_length);
  for (std::int64_t i = 0; i < config.decoder_blocks[0]; ++i)
    coarse_.emplace_back(decoder.sub("coarse").sub(i), coarse);
  expand_ = nn::Linear(decoder.sub("expand"), coarse, 8 * fine);
  for (std::int64_t i = 0; i < config.decoder_blocks[1]; ++i)
    fine_.emplace_back(decoder.sub("fine").sub(i), fine);
  const auto factor = config.output_resolution / (2 * side);
  const auto patch = factor * factor * factor;
  head_norm_ = nn::LayerNorm(fine, kGridNormEpsilon);
  head_ = nn::Linear(decoder.sub("head"), fine, patch);

  if (config.colour.slots == 0) return;
  const auto colour = root.sub("colour");
  for (std::int64_t i = 0; i < config.colour.context_blocks; ++i)
    colour_context_blocks_.emplace_back(colour.sub("context_blocks").sub(i), coarse);
  colour_context_ = nn::Linear(colour.sub("context"), coarse, 8 * config.colour.channels);
  colour_in_ = nn::Linear(colour.sub("in"), fine, config.colour.channels);
  for (std::int64_t i = 0; i < config.colour.blocks; ++i)
    colour_blocks_.emplace_back(colour.sub("blocks").sub(i), config.colour.channels);
  colour_norm_ = nn::LayerNorm(config.colour.channels, kGridNormEpsilon);
  colour_head_ = nn::Linear(colour.sub("head"), config.colour.channels, 8 * config.colour.slots);
  nn::QuantiserConfig palette;
  palette.kind = "vq";
  palette.codebook_size = config.colour.palette;
  palette.codebook_dim = 3;
  palette_ = nn::make_quantiser(colour.sub("palette"), palette);
}

Tensor GridShapeNetwork::encode(const Tensor& occupancy) const {
  Tensor h = occupancy.unsqueeze(1);
  for (const auto& stage : stages_) h = at::gelu(stage(h));
  h = channels_last(h);
  for (const auto& mixer : mixers_) h = h + mixer.down(at::gelu(mixer.up(mixer.norm(h))));
  return h;
}

GridShapeNetwork::Decoded GridShapeNetwork::decode(const Tensor& code_features) const {
  Tensor h = code_features;
  for (const auto& block : coarse_) h = block(h);
  const Tensor context = h;
  h = unfold_cells(expand_(h), 2);
  for (const auto& block : fine_) h = block(h);
  const Tensor features = head_norm_(h);
  const auto factor = config_.output_resolution / h.size(1);
  const Tensor logits = unfold_cells(head_(features), factor).to(at::kFloat);
  return {channels_second(logits), {context, features}};
}

Tensor GridShapeNetwork::slot_logits(const Features& features) const {
  Tensor context = features.coarse;
  for (const auto& block : colour_context_blocks_) context = block(context);
  Tensor h = colour_in_(features.fine) + unfold_cells(colour_context_(context), 2);
  for (const auto& block : colour_blocks_) h = block(h);
  return channels_second(unfold_cells(colour_head_(colour_norm_(h)), 2)).to(at::kFloat);
}

Tensor slot_colours(const Tensor& weights, const Tensor& colours, const Tensor& present) {
  constexpr double kGrey = 0.5, kGreyShare = 0.01;  // of the surface: slots with less of it turn grey
  const Tensor masked = weights * present.unsqueeze(-1);
  const Tensor grey = (present.sum(1) * kGreyShare).clamp_min(1e-3).view({-1, 1, 1});
  const Tensor sums = at::bmm(masked.transpose(1, 2), colours);
  return (sums + kGrey * grey) / (masked.sum(1).unsqueeze(-1) + grey);
}

Tensor sample_grid(const Tensor& grid, const Tensor& points) {
  constexpr std::int64_t kBilinear = 0, kBorder = 1;
  const Tensor places = points.view({points.size(0), 1, 1, points.size(1), 3});
  return at::grid_sampler(grid, places, kBilinear, kBorder, false).flatten(2).transpose(1, 2);
}

}  // namespace omni::tokenizers
