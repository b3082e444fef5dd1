#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "batch_share.h"
#include "omni/core/run_lock.h"
#include "omni/distributed/ranks.h"
#include "omni/optimizer/adamw.h"
#include "omni/optimizer/schedule.h"
#include "omni/training/run_options.h"
#include "omni/training/tokenizer_summary.h"
#include "run_budget.h"
#include "tokenizer_checkpoint.h"
#include "tokenizer_learner.h"

namespace omni::training {

// The training of a tokenizer, whichever it is: lock, resume, clock, Ctrl-C, metrics, checkpoints, progress, ranks.

struct TokenizerRunSettings {
  RunBudget budget;
  double continuous_share = 0;  // of the run, before codes are quantised
  double clip_norm = 1;
  double checkpoint_minutes = 10;
  std::int64_t log_steps = 1;
  optimizer::AdamWConfig adamw;
  optimizer::ScheduleConfig schedule;

  TokenizerRunRecord record;
  ChangeRules rules;
  // The values of a config that a checkpoint recorded; throws Error(usage) where the text is not such a
  // config.
  std::function<std::vector<ConfigValue>(const std::string& yaml)> read_config;
};

// From the keys that every tokenizer's config has.
template <class Config>
TokenizerRunSettings run_settings(const Config& config, ChangeRules rules) {
  TokenizerRunSettings settings;
  settings.budget = {config.steps, config.minutes};
  settings.continuous_share = config.continuous_share;
  settings.clip_norm = config.clip_norm;
  settings.checkpoint_minutes = config.checkpoint_minutes;
  settings.log_steps = config.log_steps;
  settings.adamw = config.adamw;
  settings.schedule = config.schedule;
  settings.rules = std::move(rules);
  Config shown = config;
  settings.record.yaml = config_to_yaml([&](ConfigVisitor& visitor) { describe(visitor, shown); });
  settings.read_config = [](const std::string& yaml) {
    Config read;
    ConfigFile::parse(yaml, "its config").read([&](ConfigVisitor& visitor) { describe(visitor, read); });
    return values_of(read);
  };
  return settings;
}

// While the run lasts, <output>.metrics.jsonl, <output>.checkpoint.safetensors and <output>.lock lie beside
// where the folder will appear. At the run's end it appears whole with the metrics in it, and the checkpoint
// stays, so that the run can go on with more steps. Every rank has one; the first alone locks and writes.
class TokenizerRun {
 public:
  // `title` names the tokenizer: "shape tokenizer". Takes the lock; throws Error(usage) as goes_on() and
  // RunLock do, and where something else has the output's name. `ranks` must outlive it.
  TokenizerRun(std::string title, const std::filesystem::path& output, RunOptions options,
               distributed::Ranks& ranks, at::Device device);

  const std::filesystem::path& folder() const { return folder_; }
  // Trains on the device until the budget is used up and writes the folder. `share`: of the learner's batches.
  // Throws Error(interrupted) after Ctrl-C, with a checkpoint written; Error(usage) where a resumed run is another
  // one, and where ranks differ in config or inputs.
  TokenizerTrainingSummary train(const TokenizerRunSettings& settings, const BatchShare& share,
                                 TokenizerLearner& learner);

 private:
  std::filesystem::path beside(const char* ending) const;
  bool is_first() const { return ranks_.collectives().rank() == 0; }
  void compare_ranks(const TokenizerRunSettings& settings) const;
  void check_record(const TokenizerRunSettings& settings) const;
  void begin_metrics(std::int64_t steps_done) const;

  std::string title_;
  std::filesystem::path folder_;
  RunOptions options_;
  distributed::Ranks& ranks_;
  at::Device device_;
  std::optional<RunLock> lock_;  // on the first rank
  bool resumes_ = false;
};

}  // namespace omni::training
