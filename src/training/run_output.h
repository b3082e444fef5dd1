#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "omni/training/run_options.h"
#include "omni/training/stage_config.h"

namespace omni::training {

// The folder of a stage's run.

// The checkpoint in config.output that the run goes on from, if it does. Throws as goes_on() and as
// checkpoint::newest_sound().
std::optional<std::filesystem::path> resumed_checkpoint(const StageConfig& config, Resume resume);

// Makes config.output ready for a run whose next step is the one after `done_steps`: writes config.yaml,
// leaves in metrics.jsonl and samples/ the steps that are not taken again, and removes what a killed process left
// half-written. Throws Error(io).
void begin_output(const StageConfig& config, std::int64_t done_steps);

// The config that the run in config.output was started with. Throws Error(input) where it is missing or
// damaged.
StageConfig recorded_config(const StageConfig& config);

}  // namespace omni::training
