// Checkpoints of a stage: <output>/checkpoints/step-NNNNNNNN/ with bundle/, optimizer.safetensors and
// state.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "omni/model/bundle.h"
#include "run_record.h"
#include "stage_optimizer.h"

namespace omni::training {

struct RunState {
  std::int64_t step = 0;    // steps done
  std::int64_t tokens = 0;  // trained on so far
  double seconds = 0;       // of training, over all sessions
  RunInputs inputs;         // empty where the checkpoint is older than such records
};

// What the ranks gather for a checkpoint.
struct CheckpointTensors {
  nn::NamedTensors weights, optimizer;
};
// The folder appears whole or not at all; afterwards all but the newest `kept` checkpoints are removed.
void save_checkpoint(const std::filesystem::path& output, const model::Bundle& bundle,
                     const CheckpointTensors& tensors, const RunState& state, std::int64_t kept);
// The checkpoint with the most steps, if there is one.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& output);
RunState load_run_state(const std::filesystem::path& checkpoint);
void load_optimizer(const std::filesystem::path& checkpoint, StageOptimizer& optimizer);

}  // namespace omni::training
