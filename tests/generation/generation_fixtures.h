#pragma once

#include <map>

#include "omni/model/bundle.h"
#include "omni/tokenizers/shape_grid.h"

namespace omni::generation::testing {

// Small bundles with random weights.

inline tokenizers::ImageTokenizerConfig tiny_image_config() {
  tokenizers::ImageTokenizerConfig config;
  config.image_size = 16;
  config.channels = 8;
  config.channel_multipliers = {1, 1, 1};
  config.res_blocks = {1, 1, 1};
  config.attention = false;
  config.norm_groups = 4;
  config.z_channels = 8;
  config.codebook_size = 24;
  config.codebook_dim = 4;
  return config;
}

inline tokenizers::GridShapeConfig tiny_shape_config() {
  tokenizers::GridShapeConfig config;
  config.resolution = 16;
  config.encoder_channels = {4, 8, 8};
  config.quantiser.levels = {4, 4};
  config.decoder_channels = {8, 8};
  config.decoder_blocks = {1, 1};
  config.output_resolution = 16;
  config.colour.slots = 3;
  config.colour.palette = 8;
  config.colour.channels = 8;
  return config;
}

inline model::TransformerConfig tiny_transformer_config() {
  model::TransformerConfig config;
  config.width = 32;
  config.heads = 2;
  config.single_blocks = 2;
  config.initial_deviation = 0.3;  // far from uniform, so that conditions matter
  return config;
}

inline model::TransformerConfig tiny_transformer_config_without_codebooks() {
  model::TransformerConfig config = tiny_transformer_config();
  config.codebook_embedding = false;
  return config;
}

inline model::Bundle tiny_bundle_with(std::unique_ptr<tokenizers::ShapeTokenizer> shape, bool views = true,
                                      std::int64_t text_capacity = 16, std::uint64_t seed = 5) {
  auto text = std::make_unique<tokenizers::TextTokenizer>(tokenizers::TextTokenizer::from_merges({}));
  auto image = std::make_unique<tokenizers::ImageTokenizer>(tiny_image_config(), seed);
  return model::make_bundle(tiny_transformer_config(), {std::move(text), std::move(image), std::move(shape)},
                            text_capacity, views, seed);
}

inline model::Bundle tiny_bundle(bool views = true, std::int64_t text_capacity = 16, std::uint64_t seed = 5) {
  return tiny_bundle_with(std::make_unique<tokenizers::GridShapeTokenizer>(tiny_shape_config(), seed), views,
                          text_capacity, seed);
}

}  // namespace omni::generation::testing
