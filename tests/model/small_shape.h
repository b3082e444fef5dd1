#pragma once

#include <memory>

#include "omni/tokenizers/shape_grid.h"

namespace omni::model {

// A shape tokenizer of 20 codes and fresh weights.
inline std::unique_ptr<tokenizers::ShapeTokenizer> small_shape(std::int64_t slots = 3) {
  tokenizers::GridShapeConfig config;
  config.resolution = 16;
  config.encoder_channels = {4, 8, 8};
  config.quantiser.levels = {4, 5};
  config.decoder_channels = {8, 8};
  config.decoder_blocks = {1, 1};
  config.output_resolution = 16;
  config.colour.slots = slots;
  config.colour.palette = 7;
  config.colour.channels = 8;
  return std::make_unique<tokenizers::GridShapeTokenizer>(config, 3);
}

}  // namespace omni::model
