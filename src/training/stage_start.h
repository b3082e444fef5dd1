#pragma once

#include <map>
#include <string>

#include "omni/model/bundle.h"
#include "omni/optimizer/adamw.h"
#include "omni/training/stage_config.h"

namespace omni::training {

// What a stage starts from.

// Tokenizers and a fresh model, or the earlier bundle, its vocabulary grown by the tokens of views where the
// stage needs them and it has none.
model::Bundle start_bundle(const StageConfig& config);
// The same for estimates: the model has shapes alone, takes no memory, and of an earlier bundle no weights are read.
model::Bundle estimated_bundle(const StageConfig& config);

// Freezes the parameters that config.freeze chooses. Throws Error(usage) as chosen_by_patterns(), and where nothing is left
// to train.
void freeze_parameters(const StageConfig& config, nn::ParameterStore& parameters);

// Throws Error(usage) where recompute_every is more than there are blocks, so that it would choose none.
void require_recomputed_blocks(const StageConfig& config, const nn::ParameterStore& parameters);

// The rows of the view tokens in every matrix whose rows are token ids.
std::map<std::string, optimizer::AdamW::Rows> view_rows(const model::Transformer& transformer);

}  // namespace omni::training
