#pragma once

#include "memory_parts.h"
#include "omni/model/bundle.h"
#include "omni/training/stage_config.h"
#include "omni/training/trainer.h"

namespace omni::training {

// What a stage would do, said without doing it.

// Prints the resolved config, and as comments below it the parameters, the operations of a step and the memory
// of each of the ranks by part: those of the first step's sequences, or, where the shards are not there yet, of
// documents at full length; and whether it fits into the options' memory for each rank, where that is 0 into the
// GPU that is there, or with device: cpu for all ranks into this machine; with a `gpu`, how long a step would take. No
// model is made for it. Throws as StageData does.
void print_dry_run(const StageConfig& config, const TrainerOptions& options);

// What the first of `ranks` keeps from step to step: weights, gradients, masters and moments. Seals the bundle's
// transformer, which needs nothing but shapes.
MemoryParts expected_memory(const StageConfig& config, const model::Bundle& bundle, int ranks);

}  // namespace omni::training
