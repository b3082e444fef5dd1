#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "omni/checkpoint/reader.h"
#include "omni/checkpoint/writer.h"
#include "omni/distributed/ranks.h"
#include "omni/model/bundle.h"
#include "omni/training/stage_config.h"
#include "stage_optimizer.h"

namespace omni::training {

// What a stage saves of itself, and goes on from.

// <output>/checkpoints
std::filesystem::path checkpoint_folder(const std::filesystem::path& output);

// Puts the optimizer's moments back; the bundle was loaded from the same checkpoint. Throws Error(input) where
// they are missing or of another shape. Of a parameter that grew, new rows start from zero.
void restore_optimizer(const checkpoint::CheckpointReader& checkpoint, StageOptimizer& optimizer);

// Saves one stage while it runs.
class StageCheckpoints {
 public:
  // Every rank saves what it owns; of what all have, each an equal share. Throws Error(io) where the disk is too
  // small for what the config wants to be kept. Bundle, optimizer and ranks must outlive it.
  StageCheckpoints(const StageConfig& config, const model::Bundle& bundle, const StageOptimizer& optimizer,
                   distributed::Ranks& ranks);

  // Writes what all checkpoints of the run have in common, unless they have it already.
  void begin(const checkpoint::CheckpointReader* resumed);
  // Copies the state after a step, for which it waits until the checkpoint before is written, and returns; a
  // thread of its own writes the copy. One that cannot be written is named in a warning. Frozen weights on the CPU
  // are written from where they lie: they must stay as they are until release().
  // That of step `kept`, if any, is not removed for newer ones.
  void save(const checkpoint::RunState& state, std::optional<std::int64_t> kept = std::nullopt);
  // Waits until everything is written, and gives back the memory of the copy.
  void release();
  // Waits until everything is written. Throws the Error of the last save() where it failed.
  void finish() { writer_.finish(); }
  std::size_t copy_bytes() const { return copy_.defined() ? copy_.nbytes() : 0; }

 private:
  // This rank's share of a tensor of the state.
  struct Part {
    std::string name;  // as in checkpoint::Piece
    std::vector<std::int64_t> shape;
    std::int64_t first;
    at::Tensor elements;  // [count]
    bool frozen = false;
    bool needs_copy() const {
      return !frozen || !elements.is_cpu() || !elements.is_contiguous() ||
             elements.scalar_type() != at::kFloat;
    }
  };
  std::vector<Part> parts() const;
  void add_share(const std::string& name, const at::Tensor& whole, std::vector<Part>& parts) const;
  void add_section(const nn::ParameterSection& section, const std::string& ending, const at::Tensor& owned,
                   std::vector<Part>& parts) const;
  std::int64_t planned_count() const;

  const StageConfig& config_;
  distributed::Collectives& collectives_;
  std::filesystem::path folder_;
  const model::Bundle* bundle_;
  const StageOptimizer* optimizer_;
  std::vector<checkpoint::StoredFile> common_;
  // [elements of this rank that change] fp32 on the CPU: the state that is being written.
  at::Tensor copy_;
  checkpoint::CheckpointWriter writer_;  // ends before the copy does
};

}  // namespace omni::training
