#pragma once

#include <string>

#include "omni/training/image_tokenizer_training.h"
#include "omni/training/shape_tokenizer_training.h"

namespace omni::training {

// Tokenizers whose steps take a moment; how many there are, and of what, is left to the tests.

inline ImageTokenizerTrainingConfig small_image_tokenizer() {
  ImageTokenizerTrainingConfig config;
  config.network.image_size = 16;
  config.network.channels = 8;
  config.network.channel_multipliers = {1, 2, 4};
  config.network.res_blocks = {0, 0, 1};
  config.network.attention = false;
  config.network.norm_groups = 2;
  config.network.z_channels = 16;
  config.precision = "fp32";
  return config;
}

inline ShapeTokenizerTrainingConfig small_shape_tokenizer(const std::string& layout) {
  ShapeTokenizerTrainingConfig config;
  config.layout = layout;
  config.grid.encoder_kernels = {2, 2, 2};
  config.grid.encoder_channels = {4, 8, 16};
  config.grid.decoder_channels = {16, 8};
  config.grid.decoder_blocks = {1, 1};
  config.grid.quantiser.kind = "vq";
  config.grid.quantiser.codebook_size = 16;
  config.grid.quantiser.codebook_dim = 4;
  config.grid.colour = {.slots = 3, .palette = 8, .channels = 8};
  config.vecset.latents = 8;
  config.vecset.width = 16;
  config.vecset.heads = 2;
  config.vecset.frequencies = 4;
  config.vecset.encoder_layers = 1;
  config.vecset.encoder_cross_attention_layers = {0};
  config.vecset.decoder_layers = 1;
  config.vecset.quantiser.kind = "spherical";
  config.vecset.quantiser.codebook_size = 16;
  config.vecset.quantiser.codebook_dim = 4;
  config.vecset.surface_points = 64;
  config.near_points = 64;
  config.volume_points = 32;
  config.colour_points = 32;
  config.log_steps = 1;
  return config;
}

}  // namespace omni::training
