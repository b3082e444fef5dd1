#include "omni/training/trainer.h"

#include <ATen/Parallel.h>

#include <chrono>
#include <cmath>
#include <optional>

#include "accumulation.h"
#include "checkpoint.h"
#include "deterministic.h"
#include "dry_run.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"
#include "omni/core/random.h"
#include "omni/core/run_lock.h"
#include "omni/core/run_metrics.h"
#include "omni/distributed/launch_environment.h"
#include "omni/kernels/cpu_memory.h"
#include "omni/kernels/cuda_plugin.h"
#include "omni/nn/precision.h"
#include "omni/optimizer/schedule.h"
#include "omni/training/stage.h"
#include "run_budget.h"
#include "run_output.h"
#include "stage_data.h"
#include "stage_optimizer.h"
#include "stage_record.h"
#include "stage_start.h"
#include "step_report.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kSkippedStepsLimit = 10;

class StageRun {
 public:
  // Goes on from `checkpoint`, if there is one.
  StageRun(const StageConfig& config, const std::optional<fs::path>& checkpoint,
           const std::vector<std::string>& allowed_changes);
  std::int64_t step() const { return state_.step; }  // the first that run() takes is the one after it
  TrainingSummary run();

 private:
  void restore(const fs::path& checkpoint, const std::vector<std::string>& allowed_changes);
  double progress() const { return budget_.progress(state_.step, state_.seconds); }
  std::uint64_t dropout_seed() const;  // of the next step
  // Scales, clips and applies the gradients; false where they are not finite.
  bool update();
  void checkpoint();
  bool checkpoint_due() const;
  void restrict_rows();

  const StageConfig& config_;
  fs::path output_;
  RunBudget budget_;
  model::Bundle bundle_;
  LossWeights weights_;
  std::unique_ptr<distributed::Collectives> collectives_ = distributed::make_lone_collectives();
  std::unique_ptr<StageOptimizer> optimizer_;
  std::unique_ptr<StageData> data_;
  RunState state_;
  double seconds_before_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_checkpoint_ = start_;
  std::int64_t last_checkpoint_step_ = 0;
  double learning_rate_ = 0, gradient_norm_ = 0;
  int skipped_in_a_row_ = 0;
  bool resumed_ = false;
};

StageRun::StageRun(const StageConfig& config, const std::optional<fs::path>& checkpoint,
                   const std::vector<std::string>& allowed_changes)
    : config_(config),
      output_(config.output),
      budget_{config.steps, config.minutes},
      bundle_(checkpoint ? model::load_bundle(*checkpoint / "bundle") : start_bundle(config)),
      weights_{.modalities = {config.text_loss_weight, config.image_loss_weight, config.shape_loss_weight},
               .z_loss = config.z_loss} {
  data_ = std::make_unique<StageData>(config, bundle_);
  state_.inputs = stage_inputs(config, data_->fingerprint());
  model::Transformer& transformer = *bundle_.transformer;
  transformer.to(at::Device(config.device));
  transformer.set_activation_type(nn::precision_type(config.precision));
  transformer.set_attention_path(kernels::parse_attention_path(config.attention));
  transformer.set_recompute(config.recompute);
  optimizer_ = std::make_unique<StageOptimizer>(transformer.parameters(), config.adamw, config.muon,
                                                nn::precision_type(config.precision), *collectives_, false);
  if (checkpoint) restore(*checkpoint, allowed_changes);
  restrict_rows();
}

void StageRun::restore(const fs::path& checkpoint, const std::vector<std::string>& allowed_changes) {
  RunState state = load_run_state(checkpoint);
  refuse_another_run(config_, state.inputs, state_.inputs, allowed_changes);
  load_optimizer(checkpoint, *optimizer_);
  state.inputs = std::move(state_.inputs);
  state_ = std::move(state);
  seconds_before_ = state_.seconds;
  last_checkpoint_step_ = state_.step;
  resumed_ = true;
  log_info("resuming from '", checkpoint.string(), "' at step ", state_.step);
}

// Stage 2 begins with the new view rows alone, so that they find their place before anything else moves.
void StageRun::restrict_rows() {
  if (state_.step < config_.view_rows_steps)
    optimizer_->restrict_to_rows(view_rows(*bundle_.transformer));
  else
    optimizer_->restrict_to_rows({});
}

std::uint64_t StageRun::dropout_seed() const {
  return hash_combine(hash_combine(static_cast<std::uint64_t>(config_.seed), hash_string("dropout")),
                      static_cast<std::uint64_t>(state_.step));
}

bool StageRun::update() {
  learning_rate_ = optimizer::learning_rate_at(config_.schedule, progress());
  const optimizer::GradientMeasure measure = optimizer_->step(learning_rate_, config_.clip_norm);
  gradient_norm_ = measure.norm.item<double>();
  return std::isfinite(gradient_norm_);
}

bool StageRun::checkpoint_due() const {
  if (config_.checkpoint_steps > 0 && state_.step - last_checkpoint_step_ >= config_.checkpoint_steps)
    return true;
  return Clock::now() - last_checkpoint_ >= std::chrono::duration<double>(60 * config_.checkpoint_minutes);
}

void StageRun::checkpoint() {
  save_checkpoint(output_, bundle_, *optimizer_, state_, config_.checkpoints_kept);
  last_checkpoint_ = Clock::now();
  last_checkpoint_step_ = state_.step;
}

TrainingSummary StageRun::run() {
  RunMetrics metrics(output_ / "metrics.jsonl");
  std::vector<std::string> task_names;
  for (const auto& task : data_->source().tasks()) task_names.push_back(task.name);
  StepReport report(metrics, config_.log_steps, weights_.modalities, std::move(task_names), seconds_before_);
  const bool was_finished = resumed_ && progress() >= 1;
  if (!was_finished) data_->start(state_.step, *bundle_.transformer);
  start_ = Clock::now();
  while (progress() < 1) {
    if (state_.step == config_.view_rows_steps) restrict_rows();
    const std::vector<model::PreparedBatch> batches = data_->next_step();
    const StepSums sums = accumulate_gradients(*bundle_.transformer, batches, weights_, dropout_seed());
    if (update()) {
      skipped_in_a_row_ = 0;
    } else if (++skipped_in_a_row_ == kSkippedStepsLimit) {
      fail(ErrorKind::usage, "training '", config_.output, "': the gradient was not finite in ",
           kSkippedStepsLimit, " steps in a row, up to step ", state_.step,
           ". Lower schedule.peak_learning_rate, or use precision: fp32");
    }
    optimizer_->zero_gradients();
    ++state_.step;
    state_.tokens += sums.counts.tokens;
    state_.seconds = seconds_before_ + std::chrono::duration<double>(Clock::now() - start_).count();
    report.add(sums,
               {config_.stage, state_.step, progress(), state_.seconds, learning_rate_, gradient_norm_,
                state_.tokens},
               progress() >= 1);
    if (interrupt_requested()) {
      checkpoint();
      fail(stop_kind(), "stopped after step ", state_.step, "; a checkpoint is in '", config_.output,
           "'. Run again with --resume to go on");
    }
    if (progress() < 1 && checkpoint_due()) checkpoint();
  }
  if (!was_finished) checkpoint();
  bundle_.transformer->fold_codebooks();
  const fs::path folder = output_ / "bundle";
  model::save_bundle(bundle_, folder);
  return {state_.step, state_.tokens, state_.seconds, report.latest_loss(), was_finished, folder};
}

}  // namespace

TrainingSummary run_stage(const StageConfig& config, const TrainerOptions& options) {
  const distributed::LaunchEnvironment launch = distributed::read_launch_environment();
  if (launch.world_size > 1) {
    fail(ErrorKind::usage, "training: ", launch.launcher, " started ", launch.world_size,
         " processes, and omni trains in one. Start it without the launcher");
  }
  if (config.device == "cuda") kernels::require_gpu("training");
  if (config.deterministic) compute_deterministically();
  if (options.dry_run) {
    print_dry_run(config);
    return {};
  }
  require_writable(config.output);
  const RunLock lock(fs::path(config.output) / "run.lock", concat("training into '", config.output, "'"));
  const std::optional<fs::path> checkpoint = resumed_checkpoint(config, options.run.resume);
  kernels::keep_freed_memory();
  // What can go wrong with the tokenizers, the data or the checkpoint does so before anything is written.
  StageRun run(config, checkpoint, options.run.allowed_changes);
  begin_output(config, run.step());
  return run.run();
}

}  // namespace omni::training
