#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "omni/training/run_options.h"
#include "omni/training/stage_config.h"

namespace omni::training {

// Steps by their numbers in metrics.jsonl: the first one of a run is 1.
struct StepRange {
  std::int64_t first = 1, last = 1;
};

struct TrainerOptions {
  RunOptions run;
  // A timeline of these steps: <output>/profile/steps-FIRST-LAST-rank-R.json of each rank, as StepProfile says.
  std::optional<StepRange> profile;
  // Print the resolved config, parameters, memory and the FLOPs of the first step on so many ranks, then stop.
  bool dry_run = false;
  int ranks = 1;
  // Also an estimate of a step's time on so many of these GPUs (a100, h100, h200, or a YAML file that describes one), into one
  // of which a rank has to fit; empty: none.
  std::string gpu;
  double device_memory_gb = 0;  // of each rank, in 10^9 bytes, to say whether it fits; 0: what is here
};

// The loss of a task of an earlier stage, before this one and after it.
struct EarlierLoss {
  std::string task;
  double before = 0, after = 0;
};

struct TrainingSummary {
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
  double seconds = 0;
  double loss = 0;            // the weighted sum over modalities, averaged over the last logged steps
  bool was_finished = false;  // a resumed run had nothing left to do; there is no loss
  std::filesystem::path bundle;
  std::vector<EarlierLoss> earlier_losses;  // of config.earlier_tasks
};

// Runs one stage: writes <output>/metrics.jsonl, <output>/events.out.tfevents.* (the same for
// TensorBoard), <output>/config.yaml, <output>/checkpoints/step-N/, <output>/samples/step-N/ where wanted
// and, at the end, <output>/bundle/. A step's sequences are a function of (seed, step) alone, so a run
// that was stopped and resumed does the same steps. After Ctrl-C the step in progress is finished, a
// checkpoint written and Error(interrupted) thrown, after SIGTERM and SIGUSR1 Error(stopped). Throws
// Error(io) where the disk is too small for the checkpoints or the last one could not be written. Throws
// Error(usage) as goes_on() does, where another process trains into `output`, and where a resumed run is
// another one by its config, shards, tokenizers or start bundle.
TrainingSummary run_stage(const StageConfig& config, const TrainerOptions& options);

}  // namespace omni::training
