#pragma once

#include "omni/core/progress.h"
#include "omni/core/run_metrics.h"
#include "tokenizer_run.h"

namespace omni::training {

// The steps of a tokenizer's training.
class TokenizerLoop {
 public:
  // All of these outlive the loop; `state` is kept up to date.
  TokenizerLoop(const std::string& title, const TokenizerRunSettings& settings, TokenizerLearner& learner,
                optimizer::AdamW& optimizer, TokenizerTrainingState& state);

  // Takes steps until the budget is used up. Throws Error(interrupted) after Ctrl-C; in either case a
  // checkpoint has been written.
  void run(const std::filesystem::path& metrics, const std::filesystem::path& checkpoint);

 private:
  double progress() const { return settings_.budget.progress(state_.step, state_.seconds); }
  void take_step();
  void report(RunMetrics& metrics, Progress& bar);

  const std::string& title_;
  const TokenizerRunSettings& settings_;
  TokenizerLearner& learner_;
  optimizer::AdamW& optimizer_;
  TokenizerTrainingState& state_;
  double gradient_norm_ = 0, learning_rate_ = 0;
};

}  // namespace omni::training
