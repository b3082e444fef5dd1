#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "omni/optimizer/adamw.h"
#include "run_record.h"
#include "tokenizer_learner.h"

namespace omni::training {

// What a stopped training of a tokenizer goes on from: one safetensors file.

struct TokenizerTrainingState {
  std::int64_t step = 0;    // steps done
  double seconds = 0;       // of training, over all sessions
  bool quantising = false;  // the codebooks have been set
};

// The run as its checkpoints record it. `yaml` is its config.
struct TokenizerRunRecord {
  std::string yaml;
  RunInputs inputs;
};

// The file appears whole or not at all.
void save_tokenizer_checkpoint(const std::filesystem::path& path, const TokenizerRunRecord& record,
                               TokenizerLearner& learner, const optimizer::AdamW& optimizer,
                               const TokenizerTrainingState& state);
// The record alone. Both throw Error(input) where the file is damaged.
TokenizerRunRecord load_tokenizer_record(const std::filesystem::path& path);
TokenizerTrainingState load_tokenizer_checkpoint(const std::filesystem::path& path, TokenizerLearner& learner,
                                                 optimizer::AdamW& optimizer);

}  // namespace omni::training
