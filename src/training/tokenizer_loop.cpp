#include "tokenizer_loop.h"

#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cmath>

#include "memory_guard.h"
#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"

namespace omni::training {
namespace {

using Clock = std::chrono::steady_clock;

// Of the bar: steps, or thousandths where the time may end the run.
constexpr std::int64_t kTicks = 1000;

}  // namespace

TokenizerLoop::TokenizerLoop(Places places, const TokenizerRunSettings& settings, const BatchShare& share,
                             TokenizerLearner& learner, optimizer::AdamW& optimizer,
                             TokenizerTrainingState& state, distributed::Collectives& collectives,
                             at::Device device)
    : places_(std::move(places)),
      settings_(settings),
      share_(share),
      learner_(learner),
      optimizer_(optimizer),
      state_(state),
      collectives_(collectives),
      agreement_(collectives, device),
      reduction_(learner.parameters(), collectives) {}

void TokenizerLoop::run() {
  const bool timed = settings_.budget.minutes > 0;
  if (is_first()) {
    metrics_.emplace(places_.metrics);
    bar_.emplace(places_.title, timed ? kTicks : settings_.budget.steps, timed ? "‰" : "steps");
  }
  const double seconds_before = state_.seconds;
  const Clock::time_point start = Clock::now();
  double saved = seconds_before;
  std::int64_t shown = 0;
  StepHeader agreed = agree(false);
  while (agreed.progress < 1) {
    take_step(agreed.progress);
    ++state_.step;
    state_.seconds = seconds_before + std::chrono::duration<double>(Clock::now() - start).count();
    agreed = agree(state_.seconds > saved + 60 * settings_.checkpoint_minutes);
    const bool last = agreed.progress >= 1;
    if (last || state_.step % settings_.log_steps == 0) report();
    const auto ticks = timed ? static_cast<std::int64_t>(agreed.progress * kTicks) : state_.step;
    if (bar_) bar_->advance(ticks - shown);
    shown = ticks;
    if (agreed.ends()) {
      save();
      fail(agreed.end_kind(), "stopped after step ", state_.step, "; a checkpoint is in '",
           places_.checkpoint.string(), "'. Run again with --resume to go on");
    }
    if (!last && agreed.checkpoint) {
      save();
      saved = state_.seconds;
    }
  }
  save();
}

// The clock is the first rank's, a signal anybody's.
StepHeader TokenizerLoop::agree(bool checkpoint_due) {
  StepHeader mine;
  mine.progress = settings_.budget.progress(state_.step, state_.seconds);
  mine.checkpoint = is_first() && checkpoint_due;
  if (interrupt_requested()) mine.note_signal();
  agreement_.send(mine);
  return agreement_.receive();
}

void TokenizerLoop::save() {
  if (is_first())
    save_tokenizer_checkpoint(places_.checkpoint, settings_.record, learner_, optimizer_, state_);
}

void TokenizerLoop::from_first_rank() {
  if (collectives_.size() == 1) return;
  const c10::NoGradGuard no_grad;
  for (const nn::Parameter& parameter : learner_.parameters().all())
    collectives_.broadcast(parameter.value.detach(), 0).wait();
  learner_.parameters().masters_changed();
}

// What a network and its codebooks start from is worked out on every rank, and the first one's counts: processors
// may differ in the last bits.
void TokenizerLoop::begin_step(bool quantise) {
  learner_.begin_step(state_.step);
  const bool starts = quantise && !state_.quantising;
  if (starts) {
    learner_.start_quantisers();
    state_.quantising = true;
    if (is_first()) log_info("step ", state_.step, ": codes are quantised from here on");
  }
  if (state_.step == 0 || starts) from_first_rank();
}

void TokenizerLoop::take_step(double done) {
  // A run that goes on with more steps stays quantised, small though its share done may be now.
  const bool quantise = state_.quantising || done >= settings_.continuous_share;
  const auto advice = [&] {
    return MemoryAdvice{concat("step ", state_.step + 1),
                        concat("Lower ", share_.key(), " (", share_.batch(), "), or take more ranks than ",
                               collectives_.size(), ", which share it")};
  };
  within_memory(places_.folder.string(), advice, [&] {
    begin_step(quantise);
    reduction_.begin_last_backward();
    (learner_.loss(quantise) * share_.weight()).backward();
  });
  reduction_.finish();
  const optimizer::GradientMeasure measure =
      optimizer::measure_gradients(learner_.parameters(), settings_.clip_norm);
  gradient_norm_ = measure.norm.item<double>();
  learning_rate_ = optimizer::learning_rate_at(settings_.schedule, done);
  if (std::isfinite(gradient_norm_)) {
    optimizer_.step(learning_rate_, measure);
    if (quantise) learner_.learn_codebooks();
  } else if (is_first()) {
    log_warning("step ", state_.step, ": the gradient is not finite; the step is skipped");
  }
  learner_.parameters().zero_gradients();
}

void TokenizerLoop::report() {
  TokenizerLearner::Figures figures = learner_.take_figures(state_.step);
  if (!is_first()) return;
  std::vector<std::pair<std::string, double>> numbers = {{"step", static_cast<double>(state_.step)},
                                                         {"seconds", state_.seconds}};
  numbers.insert(numbers.end(), figures.numbers.begin(), figures.numbers.end());
  numbers.emplace_back("gradient_norm", gradient_norm_);
  numbers.emplace_back("learning_rate", learning_rate_);
  metrics_->write(numbers);
  bar_->set_note(std::move(figures.note));
}

}  // namespace omni::training
