#pragma once

#include <cstdint>

#include "memory_parts.h"
#include "stage_checkpoints.h"
#include "stage_optimizer.h"

namespace omni::training {

// Where the memory of this rank goes while a stage runs.
class StageMemory {
 public:
  // All must outlive it. `text_tower_bytes`: of the bundle's text tower, if it has one.
  StageMemory(const nn::ParameterStore& parameters, const StageOptimizer& optimizer,
              const StageCheckpoints& checkpoints, at::Device device, std::int64_t text_tower_bytes)
      : parameters_(parameters),
        optimizer_(optimizer),
        checkpoints_(checkpoints),
        device_(device),
        text_tower_bytes_(text_tower_bytes) {}

  // What a step's passes made and freed again at most, and what its batches and those ahead take.
  // `gathered_bytes`: of what the passes made, see MemoryParts.
  void note_step(std::int64_t activation_bytes, std::int64_t gathered_bytes, std::int64_t batch_bytes);
  // The most so far of what comes and goes. The total is the most that the device or, where that is the CPU, the
  // process has taken. `other` is below zero where memory was reserved and never touched.
  MeasuredMemory measure() const;
  // Logs a table, once and whenever the total has grown by a quarter since.
  void tell(std::int64_t step, const MeasuredMemory& measured);

 private:
  const nn::ParameterStore& parameters_;
  const StageOptimizer& optimizer_;
  const StageCheckpoints& checkpoints_;
  at::Device device_;
  std::int64_t text_tower_bytes_;
  std::int64_t activation_bytes_ = 0, gathered_bytes_ = 0, batch_bytes_ = 0;
  double told_bytes_ = 0;
};

}  // namespace omni::training
