#pragma once

#include <cstdint>

#include "omni/training/stage_config.h"

namespace omni::training {

// Throws Error(usage) where config.output holds checkpoints or a bundle.
void refuse_an_earlier_run(const StageConfig& config);

// Makes config.output ready for a run whose next step is the one after `done_steps`: writes config.yaml,
// leaves in metrics.jsonl the steps that are not taken again, and removes what a killed process left
// half-written. Throws Error(io).
void begin_output(const StageConfig& config, std::int64_t done_steps);

}  // namespace omni::training
