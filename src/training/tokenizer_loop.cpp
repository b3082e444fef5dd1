#include "tokenizer_loop.h"

#include <chrono>
#include <cmath>

#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"

namespace omni::training {
namespace {

using Clock = std::chrono::steady_clock;

// Of the bar: steps, or thousandths where the time may end the run.
constexpr std::int64_t kTicks = 1000;

}  // namespace

TokenizerLoop::TokenizerLoop(const std::string& title, const TokenizerRunSettings& settings,
                             TokenizerLearner& learner, optimizer::AdamW& optimizer,
                             TokenizerTrainingState& state)
    : title_(title), settings_(settings), learner_(learner), optimizer_(optimizer), state_(state) {}

void TokenizerLoop::run(const std::filesystem::path& metrics_path, const std::filesystem::path& checkpoint) {
  RunMetrics metrics(metrics_path);
  const bool timed = settings_.budget.minutes > 0;
  Progress bar(title_, timed ? kTicks : settings_.budget.steps, timed ? "‰" : "steps");
  const auto save = [&] {
    save_tokenizer_checkpoint(checkpoint, settings_.record, learner_, optimizer_, state_);
  };
  const double seconds_before = state_.seconds;
  const Clock::time_point start = Clock::now();
  double saved = seconds_before;
  std::int64_t shown = 0;
  while (progress() < 1) {
    take_step();
    ++state_.step;
    state_.seconds = seconds_before + std::chrono::duration<double>(Clock::now() - start).count();
    const bool last = progress() >= 1;
    if (last || state_.step % settings_.log_steps == 0) report(metrics, bar);
    const auto ticks = timed ? static_cast<std::int64_t>(progress() * kTicks) : state_.step;
    bar.advance(ticks - shown);
    shown = ticks;
    if (interrupt_requested()) {
      save();
      fail(stop_kind(), "stopped after step ", state_.step, "; a checkpoint is in '", checkpoint.string(),
           "'. Run again with --resume to go on");
    }
    if (!last && state_.seconds > saved + 60 * settings_.checkpoint_minutes) {
      save();
      saved = state_.seconds;
    }
  }
  save();
}

void TokenizerLoop::take_step() {
  const double done = progress();
  // A run that goes on with more steps stays quantised, small though its share done may be now.
  const bool quantise = state_.quantising || done >= settings_.continuous_share;
  learner_.begin_step(state_.step);
  if (quantise && !state_.quantising) {
    learner_.start_quantisers();
    state_.quantising = true;
    log_info("step ", state_.step, ": codes are quantised from here on");
  }
  learner_.loss(quantise).backward();
  const optimizer::GradientMeasure measure =
      optimizer::measure_gradients(learner_.parameters(), settings_.clip_norm);
  gradient_norm_ = measure.norm.item<double>();
  learning_rate_ = optimizer::learning_rate_at(settings_.schedule, done);
  if (std::isfinite(gradient_norm_)) {
    optimizer_.step(learning_rate_, measure);
    if (quantise) learner_.learn_codebooks();
  } else {
    log_warning("step ", state_.step, ": the gradient is not finite; the step is skipped");
  }
  learner_.parameters().zero_gradients();
}

void TokenizerLoop::report(RunMetrics& metrics, Progress& bar) {
  TokenizerLearner::Figures figures = learner_.take_figures(state_.step);
  std::vector<std::pair<std::string, double>> numbers = {{"step", static_cast<double>(state_.step)},
                                                         {"seconds", state_.seconds}};
  numbers.insert(numbers.end(), figures.numbers.begin(), figures.numbers.end());
  numbers.emplace_back("gradient_norm", gradient_norm_);
  numbers.emplace_back("learning_rate", learning_rate_);
  metrics.write(numbers);
  bar.set_note(std::move(figures.note));
}

}  // namespace omni::training
