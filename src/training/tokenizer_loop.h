#pragma once

#include <optional>

#include "agreement.h"
#include "batch_share.h"
#include "gradient_reduction.h"
#include "omni/core/progress.h"
#include "omni/core/run_metrics.h"
#include "tokenizer_run.h"

namespace omni::training {

// The steps of a tokenizer's training, on one of its ranks. They take every step together, each with its part of
// the batch; the first alone writes.
class TokenizerLoop {
 public:
  struct Places {
    std::string title;  // of the tokenizer
    std::filesystem::path folder, metrics, checkpoint;
  };
  // What is referred to outlives the loop; `state` is kept up to date.
  TokenizerLoop(Places places, const TokenizerRunSettings& settings, const BatchShare& share,
                TokenizerLearner& learner, optimizer::AdamW& optimizer, TokenizerTrainingState& state,
                distributed::Collectives& collectives, at::Device device);

  // Takes steps until the budget is used up. Throws Error(interrupted) after Ctrl-C; in either case a
  // checkpoint has been written.
  void run();

 private:
  bool is_first() const { return collectives_.rank() == 0; }
  StepHeader agree(bool checkpoint_due);
  void take_step(double done);
  void begin_step(bool quantise);
  void from_first_rank();  // every parameter
  void report();
  void save();

  const Places places_;
  const TokenizerRunSettings& settings_;
  const BatchShare& share_;
  TokenizerLearner& learner_;
  optimizer::AdamW& optimizer_;
  TokenizerTrainingState& state_;
  distributed::Collectives& collectives_;
  Agreement agreement_;
  GradientReduction reduction_;
  std::optional<RunMetrics> metrics_;  // on the first rank
  std::optional<Progress> bar_;        // likewise
  double gradient_norm_ = 0, learning_rate_ = 0;
};

}  // namespace omni::training
