// What a stopped training of a shape tokenizer goes on from: one safetensors file beside the output.
#pragma once

#include <filesystem>

#include "omni/optimizer/adamw.h"
#include "shape_layout_training.h"

namespace omni::training {

struct ShapeTrainingState {
  std::int64_t step = 0;    // steps done
  double seconds = 0;       // of training, over all sessions
  bool quantising = false;  // the codebooks have been set
};

// <output>.checkpoint.safetensors
std::filesystem::path shape_checkpoint_path(const std::filesystem::path& output);

// The file appears whole or not at all.
void save_shape_checkpoint(const std::filesystem::path& path, const ShapeTokenizerTrainingConfig& config,
                           ShapeLayoutTraining& training, const optimizer::AdamW& optimizer,
                           const ShapeTrainingState& state);
// Throws Error(usage) where it was written with another config (steps, minutes and what is logged or
// evaluated may differ), Error(input) where it is damaged.
ShapeTrainingState load_shape_checkpoint(const std::filesystem::path& path,
                                         const ShapeTokenizerTrainingConfig& config,
                                         ShapeLayoutTraining& training, optimizer::AdamW& optimizer);

}  // namespace omni::training
