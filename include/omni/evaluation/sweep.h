#pragma once

#include <cstdint>

#include "omni/evaluation/summary.h"
#include "omni/evaluation/sweep_config.h"

namespace omni::evaluation {

struct SweepOutcome {
  SweepSummary summary;
  std::int64_t units_run = 0, units_found = 0;  // done now, and found in results.jsonl
};

// Refuses what run_sweep() refuses before any work, as far as that can be told without opening the objects: bundles,
// their tasks, paths, and a folder whose results are of something else. Throws Error(usage), Error(io) and
// Error(input).
void check_sweep(const SweepConfig& config);

// Runs a sweep in config.output: results.jsonl grows unit by unit, so a second run does only what is missing;
// then results.csv, summary.json and report.html are written anew, and each bundle's figures where the config
// asks for it. Throws Error(io) or Error(input) for a
// bundle or folder that cannot be used, before any work, and Error(interrupted) after Ctrl-C.
SweepOutcome run_sweep(const SweepConfig& config);

}  // namespace omni::evaluation
