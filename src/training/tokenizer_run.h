#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "omni/core/run_lock.h"
#include "omni/optimizer/adamw.h"
#include "omni/optimizer/schedule.h"
#include "omni/training/run_options.h"
#include "omni/training/tokenizer_summary.h"
#include "run_budget.h"
#include "tokenizer_checkpoint.h"
#include "tokenizer_learner.h"

namespace omni::training {

// The training of a tokenizer, whichever it is: lock, resume, clock, Ctrl-C, metrics, checkpoints, progress.

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
// stays, so that the run can go on with more steps.
class TokenizerRun {
 public:
  // `title` names the tokenizer: "shape tokenizer". Takes the lock; throws Error(usage) as goes_on() and
  // RunLock do, and where something else has the output's name.
  TokenizerRun(std::string title, const std::filesystem::path& output, RunOptions options);

  const std::filesystem::path& folder() const { return folder_; }
  // Trains until the budget is used up and writes the folder. Throws Error(interrupted) after Ctrl-C, with a
  // checkpoint written; Error(usage) where a resumed run is another one.
  TokenizerTrainingSummary train(const TokenizerRunSettings& settings, TokenizerLearner& learner);

 private:
  std::filesystem::path beside(const char* ending) const;
  void check_record(const TokenizerRunSettings& settings) const;
  void begin_metrics(std::int64_t steps_done) const;

  std::string title_;
  std::filesystem::path folder_;
  RunOptions options_;
  RunLock lock_;
  bool resumes_ = false;
};

}  // namespace omni::training
