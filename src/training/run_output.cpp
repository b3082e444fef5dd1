#include "run_output.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "omni/checkpoint/run_folder.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/run_metrics.h"
#include "stage_checkpoints.h"
#include "stage_samples.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

// AtomicFile and AtomicDirectory write under the final name with an ending of their own.
bool is_remains(const fs::path& path) {
  const std::string name = path.filename().string();
  const auto begins = [&](const char* start) { return name.starts_with(start); };
  return name.ends_with(".tmp") && (begins("bundle.") || begins("config.yaml.") || begins("metrics.jsonl."));
}

void remove_remains(const fs::path& folder) {
  std::error_code ignored;
  std::vector<fs::path> remains;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (is_remains(entry.path())) remains.push_back(entry.path());
  for (const fs::path& path : remains) fs::remove_all(path, ignored);
}

}  // namespace

std::optional<fs::path> resumed_checkpoint(const StageConfig& config, Resume resume) {
  const fs::path output(config.output);
  const fs::path folder = checkpoint_folder(output);
  EarlierRun earlier{.output = output, .finished = fs::exists(output / "bundle"), .checkpoint = {}};
  const std::vector<checkpoint::CheckpointEntry> checkpoints = checkpoint::checkpoints_in(folder);
  if (!checkpoints.empty()) earlier.checkpoint = checkpoints.back().path;
  return goes_on(earlier, resume) ? checkpoint::newest_sound(folder) : std::nullopt;
}

void begin_output(const StageConfig& config, std::int64_t done_steps) {
  const fs::path output(config.output);
  prepare_output_directory(output);
  remove_remains(output);
  checkpoint::tidy(checkpoint_folder(output), done_steps);
  forget_samples(output, done_steps);
  keep_metrics_until(output / "metrics.jsonl", done_steps);
  StageConfig shown = config;
  write_file_atomically(output / "config.yaml",
                        config_to_yaml([&](ConfigVisitor& visitor) { describe(visitor, shown); }));
}

StageConfig recorded_config(const StageConfig& config) {
  const fs::path path = fs::path(config.output) / "config.yaml";
  if (!fs::exists(path))
    fail(ErrorKind::input, "resuming '", config.output, "': '", path.string(),
         "' is missing, so that nobody can tell whether it is the same run. Put the run's config there");
  StageConfig recorded;
  read_stored_config(path, [&](ConfigVisitor& visitor) { describe(visitor, recorded); });
  return recorded;
}

}  // namespace omni::training
