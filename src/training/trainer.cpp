#include "omni/training/trainer.h"

#include <algorithm>
#include <optional>

#include "deterministic.h"
#include "dry_run.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/run_lock.h"
#include "omni/distributed/ranks.h"
#include "omni/kernels/cpu_memory.h"
#include "omni/kernels/cuda_plugin.h"
#include "run_output.h"
#include "stage_run.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

at::Device device_of(const StageConfig& config, const distributed::LaunchEnvironment& launch) {
  if (config.device == "cpu") return at::kCPU;
  const int index = distributed::device_index(launch, kernels::cuda_plugin_status().devices);
  return {at::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

// Rank 0's text on every rank.
std::string text_of_first_rank(const std::string& text, distributed::Collectives& collectives,
                               at::Device device) {
  const at::Tensor length = at::full({1}, static_cast<std::int64_t>(text.size()), at::kLong).to(device);
  collectives.broadcast(length, 0).wait();
  at::Tensor letters = at::zeros({length.item<std::int64_t>()}, at::kByte);
  if (collectives.rank() == 0) std::copy(text.begin(), text.end(), letters.mutable_data_ptr<std::uint8_t>());
  if (letters.numel() == 0) return {};
  letters = letters.to(device);
  collectives.broadcast(letters, 0).wait();
  letters = letters.cpu();
  const auto* first = letters.const_data_ptr<std::uint8_t>();
  return {first, first + letters.numel()};
}

distributed::RankTimes times_of(const StageConfig& config) {
  const auto milliseconds = [](double seconds) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(1000 * seconds));
  };
  distributed::RankTimes times{.start = milliseconds(60 * config.start_minutes),
                               .call = milliseconds(60 * config.call_minutes),
                               .silence = milliseconds(config.silence_seconds)};
  times.heartbeat = std::min(times.heartbeat, times.silence / 4);  // one late heartbeat is no silence
  return times;
}

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
  if (config.device == "cuda") kernels::require_gpu("training");
  if (config.deterministic) compute_deterministically();
  kernels::keep_freed_memory();
  const distributed::LaunchEnvironment launch = distributed::read_launch_environment();
  const at::Device device = device_of(config, launch);
  TrainingSummary summary;
  distributed::run_ranks(launch, device, times_of(config), [&](distributed::Ranks& ranks) {
    summary = run_on_rank(config, options, ranks, device);
  });
  return summary;
}

}  // namespace omni::training
