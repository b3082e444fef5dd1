#pragma once

#include <cstdint>

#include "memory_guard.h"
#include "omni/training/stage_config.h"

namespace omni::training {

// What to do where a stage runs out of memory, by the part of the run; steps are the one at work, from 1. Names only settings
// that the config would accept.
MemoryAdvice state_advice(const StageConfig& config, int ranks);
MemoryAdvice passes_advice(const StageConfig& config, int ranks, std::int64_t step);
MemoryAdvice update_advice(const StageConfig& config, int ranks, std::int64_t step);
MemoryAdvice end_advice();

}  // namespace omni::training
