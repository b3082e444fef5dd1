#include "omni/training/trainer.h"

#include <optional>

#include "deterministic.h"
#include "dry_run.h"
#include "memory_fit.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/run_lock.h"
#include "omni/distributed/launch_environment.h"
#include "omni/distributed/ranks.h"
#include "rank_start.h"
#include "run_output.h"
#include "stage_run.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

TrainingSummary run_on_rank(const StageConfig& config, const TrainerOptions& options,
                            distributed::Ranks& ranks, at::Device device) {
  distributed::Collectives& collectives = ranks.collectives();
  std::optional<RunLock> lock;
  std::string chosen;
  if (collectives.rank() == 0) {
    require_writable(config.output);
    lock.emplace(fs::path(config.output) / "run.lock", concat("training into '", config.output, "'"));
    if (const auto checkpoint = resumed_checkpoint(config, options.run.resume)) chosen = checkpoint->string();
  }
  chosen = text_of_first_rank(chosen, collectives, device);
  const distributed::LaunchEnvironment launch = distributed::read_launch_environment();
  // One rank looks for its host. What goes on has had enough, and may be without what it started from.
  if (chosen.empty() && launch.local_rank == 0)
    require_memory(config, collectives.size(), launch.local_size, /*tells=*/collectives.rank() == 0);
  std::optional<checkpoint::CheckpointReader> checkpoint;
  if (!chosen.empty()) checkpoint.emplace(chosen);
  // What can go wrong with the tokenizers, the data or the checkpoint does so before anything is written.
  StageRun run(config, checkpoint, options.run.allowed_changes, ranks, device);
  if (options.profile) run.profile(*options.profile);
  run.begin(checkpoint);
  checkpoint.reset();  // its files may go
  return run.run();
}

}  // namespace

TrainingSummary run_stage(const StageConfig& config, const TrainerOptions& options) {
  if (options.dry_run) {  // which computes nothing, so that it needs no GPU
    print_dry_run(config, options);
    return {};
  }
  if (config.deterministic) compute_deterministically();
  TrainingSummary summary;
  run_on_ranks({config.device, config.start_minutes, config.call_minutes, config.silence_seconds},
               [&](distributed::Ranks& ranks, at::Device device) {
                 summary = run_on_rank(config, options, ranks, device);
               });
  return summary;
}

}  // namespace omni::training
