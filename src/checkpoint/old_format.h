#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "omni/checkpoint/shard.h"

namespace omni::checkpoint {

// Checkpoints as they were before manifests: bundle/, optimizer.safetensors and state.json, by one process.

inline constexpr const char* kOldStateName = "state.json";

bool is_old_checkpoint(const std::filesystem::path& folder);

struct OldCheckpoint {
  RunState run;
  std::vector<std::unique_ptr<SafetensorsFile>> files;
  std::vector<Piece> pieces;  // whole tensors, in the files
};
// Throws Error(io) or Error(input).
OldCheckpoint open_old_checkpoint(const std::filesystem::path& folder);

}  // namespace omni::checkpoint
