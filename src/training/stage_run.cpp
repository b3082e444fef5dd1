#include "stage_run.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "memory_advice.h"
#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"
#include "omni/core/random.h"
#include "omni/core/run_metrics.h"
#include "omni/core/text_format.h"
#include "omni/kernels/attention_check.h"
#include "omni/kernels/profiled_range.h"
#include "omni/kernels/tensor_memory.h"
#include "omni/model/training_cost.h"
#include "omni/nn/precision.h"
#include "omni/optimizer/schedule.h"
#include "omni/training/stage.h"
#include "run_output.h"
#include "stage_record.h"
#include "stage_start.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

constexpr int kSkippedStepsLimit = 10;
constexpr const char* kSkippedInARow = "skipped_in_a_row";
constexpr const char* kBestStep = "validation.best_step";
constexpr const char* kBestLoss = "validation.best_loss";
constexpr const char* kEarlierLoss = "earlier_loss ";   // and the task: before the first step
constexpr const char* kEarlierTasks = "earlier_tasks";  // what these were measured of

// Of all tasks that are measured together, in one mixture of held-out objects. Exact as a double.
double earlier_fingerprint(const StageConfig& config) {
  std::string text = concat(config.validation_batches, " ", config.validation_split);
  for (const std::string& task : config.earlier_tasks) text += "\n" + task;
  return static_cast<double>(hash_string(text) >> 32);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

StageRun::StageRun(const StageConfig& config, const std::optional<checkpoint::CheckpointReader>& checkpoint,
                   const std::vector<std::string>& allowed_changes, distributed::Ranks& ranks,
                   at::Device device)
    : config_(config),
      ranks_(ranks),
      collectives_(ranks.collectives()),
      device_(device),
      output_(config.output),
      budget_{config.steps, config.minutes},
      cube3d_(Cube3dStage::starts_from(config, checkpoint ? &*checkpoint : nullptr)
                  ? std::make_unique<Cube3dStage>(config)
                  : nullptr),
      bundle_(cube3d_      ? cube3d_->start(checkpoint ? &*checkpoint : nullptr)
              : checkpoint ? model::load_bundle(*checkpoint)
                           : start_bundle(config)),
      weights_{.modalities = {config.text_loss_weight, config.image_loss_weight, config.shape_loss_weight},
               .z_loss = config.z_loss},
      agreement_(collectives_, device) {
  data_ = std::make_unique<StageData>(config, bundle_,
                                      cube3d_ ? cube3d_->form() : DocumentForm::of(config, bundle_),
                                      collectives_.rank(), collectives_.size());
  if (data_->validation_source() != nullptr)
    validation_.emplace(*data_, *data_->validation_source(), config.validation_batches, weights_.modalities);
  if (data_->earlier_source() != nullptr)
    earlier_.emplace(*data_, *data_->earlier_source(), config.validation_batches, weights_.modalities);
  state_.inputs = stage_inputs(config, data_->fingerprint());
  if (collectives_.rank() == 0) note_words();
  compare_ranks();
  peak_seconds_per_token_ = peak_seconds_per_token();
  model::Transformer& transformer = *bundle_.transformer;
  freeze_parameters(config, transformer.parameters());
  require_recomputed_blocks(config, transformer.parameters());
  transformer.set_activation_type(nn::precision_type(config.precision));
  transformer.set_attention_path(kernels::parse_attention_path(config.attention));
  if (config.attention == "kernel")
    kernels::require_attention_kernel(transformer.config().attention_head_size(),
                                      nn::precision_type(config.precision), device);
  const kernels::FusedKernels fused(config.fused_kernels);
  transformer.set_fused_kernels(fused);
  transformer.set_recompute(recomputation_of(config, collectives_.size()));
  within_memory(
      config.output, [&] { return state_advice(config, collectives_.size()); }, [&] { seal_parameters(); });
  optimizer_->set_kernel_path(fused.path(kernels::FusedKernel::adamw));
  if (config.cuda_graphs) graph_.emplace(transformer, device);
  reduction_ = std::make_unique<GradientReduction>(transformer.parameters(), collectives_);
  skipped_in_a_row_ = at::zeros({}, at::TensorOptions(at::kFloat).device(device));
  most_skipped_ = skipped_in_a_row_;
  if (checkpoint) restore(*checkpoint, allowed_changes);
  restrict_rows();
  if (config.sample_steps > 0 && collectives_.rank() == 0)
    samples_.emplace(config, *data_, bundle_, collectives_.size() > 1);
  checkpoints_ = std::make_unique<StageCheckpoints>(config, bundle_, *optimizer_, ranks);
  memory_ = std::make_unique<StageMemory>(transformer.parameters(), *optimizer_, *checkpoints_, device,
                                          bundle_.text_tower ? bundle_.text_tower->bytes() : 0);
}

void StageRun::seal_parameters() {
  model::Transformer& transformer = *bundle_.transformer;
  transformer.to(device_);
  const Sharding sharding = sharding_of(config_, collectives_.size());
  optimizer_ = std::make_unique<StageOptimizer>(transformer.parameters(), config_.adamw, config_.muon,
                                                nn::precision_type(config_.precision), collectives_, sharding,
                                                config_.optimizer_groups, config_.ema.decay);
  if (sharding == Sharding::full) {
    sharding_ = std::make_unique<FullSharding>(transformer.parameters(), collectives_);
    transformer.set_executor(sharding_->executor());
  } else if (sharding == Sharding::optimizer && !config_.cuda_graphs) {  // a replay calls no executor
    transformer.set_executor(optimizer_->values().executor(
        nn::make_recompute_executor(recomputation_of(config_, collectives_.size()))));
  }
}

void StageRun::begin(const std::optional<checkpoint::CheckpointReader>& checkpoint) {
  if (collectives_.rank() == 0) begin_output(config_, state_.step);
  checkpoints_->begin(checkpoint ? &*checkpoint : nullptr);
  collectives_.barrier();
}

void StageRun::profile(StepRange steps) {
  const int rank = collectives_.rank();
  profile_.emplace(
      steps, output_ / "profile" / concat("steps-", steps.first, "-", steps.last, "-rank-", rank, ".json"),
      rank);
}

void StageRun::compare_ranks() {
  std::vector<distributed::Fingerprint> mine;
  for (const ConfigValue& value : values_of(config_)) mine.push_back({value.key, value.text});
  for (const auto& [key, fingerprint] : state_.inputs)
    mine.push_back({concat("content of ", key), fingerprint});
  mine.push_back({"vocabulary", hexadecimal(bundle_.vocabulary().fingerprint())});
  ranks_.compare(mine);
}

void StageRun::restore(const checkpoint::CheckpointReader& checkpoint,
                       const std::vector<std::string>& allowed_changes) {
  checkpoint::RunState state = checkpoint.manifest().run;
  refuse_another_run(config_, state.inputs, state_.inputs, allowed_changes);
  restore_optimizer(checkpoint, *optimizer_);
  state.inputs = std::move(state_.inputs);
  state_ = std::move(state);
  seconds_before_ = state_.seconds;
  last_checkpoint_step_ = state_.step;
  skipped_in_a_row_.fill_(state_.numbers[kSkippedInARow]);
  if (const auto best = state_.numbers.find(kBestStep); best != state_.numbers.end())
    best_ = {std::llround(best->second), state_.numbers[kBestLoss]};
  const auto measured = state_.numbers.find(kEarlierTasks);
  const bool the_same = measured == state_.numbers.end() || measured->second == earlier_fingerprint(config_);
  for (const auto& [name, number] : state_.numbers)
    if (the_same && name.starts_with(kEarlierLoss))
      earlier_before_[name.substr(std::strlen(kEarlierLoss))] = number;
  resumed_ = true;
  if (collectives_.rank() == 0)
    log_info("resuming from '", checkpoint.folder().string(), "' at step ", state_.step);
}

// Stage 2 begins with the new view rows alone, so that they find their place before anything else moves.
void StageRun::restrict_rows() {
  if (state_.step < config_.view_rows_steps)
    optimizer_->restrict_to_rows(view_rows(*bundle_.transformer));
  else
    optimizer_->restrict_to_rows({});
}

double StageRun::seconds_now() const { return seconds_before_ + seconds_since(start_); }

double StageRun::peak_seconds_per_token() const {
  if (config_.peak_tflops == 0 || collectives_.rank() != 0) return 0;
  const model::PrepareOptions options{.full_softmax = config_.softmax == "full"};
  double operations = 0, tokens = 0;
  for (const sequence::PackedSequence& batch : data_->step(0)) {
    operations += model::training_flops(*bundle_.transformer, batch, options).total();
    tokens += static_cast<double>(batch.length());
  }
  return operations / tokens / (1e12 * config_.peak_tflops);
}

std::uint64_t StageRun::dropout_seed() const {
  return hash_combine(hash_combine(static_cast<std::uint64_t>(config_.seed), hash_string("dropout")),
                      static_cast<std::uint64_t>(state_.step));
}

std::int64_t StageRun::Coming::bytes() const {
  std::int64_t sum = 0;
  for (const model::PreparedBatch& batch : batches) sum += batch.bytes();
  return sum;
}

StageRun::Coming StageRun::coming(std::int64_t step) {
  Coming next;
  next.header.progress = budget_.progress(step, seconds_now());
  if (interrupt_requested()) next.header.note_signal();
  next.header.checkpoint =
      Clock::now() - last_checkpoint_ >= std::chrono::duration<double>(60 * config_.checkpoint_minutes);
  // The budget of time is rank 0's to tell: where there are others, only the end by steps is known here.
  const bool over = collectives_.size() == 1 ? next.header.progress >= 1 : step >= config_.steps;
  if (over) return next;
  const Clock::time_point asked = Clock::now();
  {
    const kernels::ProfiledRange profiled("wait for data", kernels::ProfiledRange::Kind::phase);
    next.batches = data_->next_step();
  }
  next.loader_seconds = seconds_since(asked);
  model::BatchCounts counts;
  for (const model::PreparedBatch& batch : next.batches) counts.add(batch.counts());
  next.header.loss_weights = counts.weights;
  next.header.tokens = counts.tokens;
  return next;
}

StepSums StageRun::take_passes(const Coming& now, const StepHeader& agreed) {
  const StepShare share{.step_weights = agreed.loss_weights,
                        .dropout_seed = dropout_seed(),
                        .first = collectives_.rank(),
                        .stride = collectives_.size(),
                        .before_last = [this] { reduction_->begin_last_backward(); }};
  const kernels::TensorMemory made(device_.type());
  const std::int64_t ranks = collectives_.size(), most = (config_.batches_per_step() + ranks - 1) / ranks;
  if (sharding_) sharding_->begin(most, FullSharding::Passes::forward_and_backward);
  const StepSums sums =
      accumulate_gradients(*bundle_.transformer, now.batches, weights_, share, graph_ ? &*graph_ : nullptr);
  if (sharding_) sharding_->finish();
  // Replayed passes allocate nothing: what they did when they were recorded is kept.
  activation_bytes_ = graph_ ? std::max(activation_bytes_, made.peak_bytes()) : made.peak_bytes();
  return sums;
}

StepSums StageRun::take_step(const Coming& now, const StepHeader& agreed) {
  const int ranks = collectives_.size();
  loader_seconds_ = now.loader_seconds;
  const auto waited = [&] {
    return sharding_ ? sharding_->waited_seconds() : optimizer_->values().waited_seconds();
  };
  const double waited_before = waited();
  const Clock::time_point begun = Clock::now();
  const StepSums sums = within_memory(
      config_.output, [&] { return passes_advice(config_, ranks, state_.step + 1); },
      [&] { return take_passes(now, agreed); });
  // A GPU has only been told what to do by now. A fast rank waits for the slow one within its passes.
  compute_seconds_ = device_.is_cpu() ? seconds_since(begun) - (waited() - waited_before) : 0;
  {
    const kernels::ProfiledRange profiled("wait for communication", kernels::ProfiledRange::Kind::phase);
    reduction_->finish();
  }
  learning_rate_ = optimizer::learning_rate_at(config_.schedule, agreed.progress);
  const auto update = [&] { return optimizer_->step(learning_rate_, config_.clip_norm); };
  const optimizer::GradientMeasure measure = within_memory(
      config_.output, [&] { return update_advice(config_, ranks, state_.step + 1); }, update);
  optimizer_->zero_gradients();
  gradient_norm_ = measure.norm;
  note_skipped(measure.skipped);
  ++state_.step;
  optimizer_->update_average(state_.step);
  state_.tokens += agreed.tokens;
  return sums;
}

void StageRun::note_skipped(const at::Tensor& skipped) {
  skipped_in_a_row_ = (skipped_in_a_row_ + 1) * skipped;
  most_skipped_ = at::maximum(most_skipped_, skipped_in_a_row_);
}

void StageRun::refuse_endless_skipping() const {
  if (most_skipped_.item<float>() < kSkippedStepsLimit) return;
  fail(ErrorKind::usage, "training '", config_.output, "': the gradient was not finite in ",
       kSkippedStepsLimit, " steps in a row, up to step ", state_.step,
       ". Lower schedule.peak_learning_rate, or use precision: fp32");
}

bool StageRun::checkpoint_due(const StepHeader& agreed) const {
  // Whatever else was saved in between does not move them: checkpoint_keep_every counts on it.
  const bool its_turn = config_.checkpoint_steps > 0 && state_.step % config_.checkpoint_steps == 0;
  return state_.step > last_checkpoint_step_ && (agreed.checkpoint || its_turn);
}

void StageRun::save(const StepReport& report) {
  const kernels::ProfiledRange profiled("checkpoint", kernels::ProfiledRange::Kind::phase);
  state_.numbers = report.state();
  state_.numbers[kSkippedInARow] = skipped_in_a_row_.item<double>();
  for (const auto& [task, loss] : earlier_before_) state_.numbers[kEarlierLoss + task] = loss;
  if (earlier_) state_.numbers[kEarlierTasks] = earlier_fingerprint(config_);
  if (best_) {
    state_.numbers[kBestStep] = static_cast<double>(best_->step);
    state_.numbers[kBestLoss] = best_->loss;
  }
  checkpoints_->save(state_, config_.keep_best && best_ ? std::optional(best_->step) : std::nullopt);
  last_checkpoint_ = Clock::now();
  last_checkpoint_step_ = state_.step;
}

bool StageRun::validation_due(bool over) const {
  return validation_ && (over || state_.step % config_.validation_steps == 0);
}

bool StageRun::validate(RunMetrics* metrics, StepReport& report) {
  const kernels::ProfiledRange profiled("validation", kernels::ProfiledRange::Kind::phase);
  const Clock::time_point begun = Clock::now();
  const ValidationLosses losses =
      validation_->measure(*bundle_.transformer, collectives_, device_, sharding_.get());
  const bool best = std::isfinite(losses.loss) && (!best_ || losses.loss < best_->loss);
  if (best) best_ = {state_.step, losses.loss};
  if (metrics != nullptr) {
    ValidationLosses::Named numbers = losses.numbers("validation_");
    numbers.insert(numbers.begin(),
                   {{"step", static_cast<double>(state_.step)}, {"validation_loss", losses.loss}});
    metrics->write(numbers, {{"stage", config_.stage}});
    std::string compared;
    if (best)
      compared = ", the lowest so far";
    else if (best_)
      compared = concat("; the lowest was ", best_->loss, " after step ", best_->step);
    log_info("validation after step ", state_.step, ": loss ", losses.loss, compared);
  }
  report.leave_out(seconds_since(begun));
  return best;
}

void StageRun::measure_earlier_tasks() {
  if (!earlier_ || state_.step > 0) return;
  for (const auto& [task, loss] :
       earlier_->measure(*bundle_.transformer, collectives_, device_, sharding_.get()).tasks)
    earlier_before_[task] = loss;
}

std::vector<EarlierLoss> StageRun::earlier_losses(RunMetrics* metrics) {
  std::vector<EarlierLoss> losses;
  if (!earlier_) return losses;
  const ValidationLosses after =
      earlier_->measure(*bundle_.transformer, collectives_, device_, sharding_.get());
  for (const auto& [task, loss] : after.tasks) {
    const auto before = earlier_before_.find(task);
    losses.push_back({task, before == earlier_before_.end() ? std::nan("") : before->second, loss});
  }
  if (metrics != nullptr) {
    ValidationLosses::Named numbers = {{"step", static_cast<double>(state_.step)}};
    for (const EarlierLoss& loss : losses) numbers.emplace_back("earlier_loss " + loss.task, loss.after);
    metrics->write(numbers, {{"stage", config_.stage}});
  }
  return losses;
}

void StageRun::sample(const StepHeader& agreed, bool over, StepReport& report) {
  const bool due = config_.sample_steps > 0 && (over || state_.step % config_.sample_steps == 0);
  const bool averaged = optimizer_->has_average() && config_.ema.samples;
  if (!due || !(samples_ || averaged || sharding_) || agreed.ends()) return;
  const kernels::ProfiledRange profiled("samples", kernels::ProfiledRange::Kind::phase);
  const Clock::time_point begun = Clock::now();
  if (averaged) optimizer_->exchange_average();
  if (sharding_) sharding_->gather_all(/*keep=*/samples_.has_value());
  optimizer_->values().finish();  // decoding does not wait for them
  if (samples_) samples_->make(state_.step);
  if (sharding_) {
    sharding_->release_all();
    bundle_.transformer->forget_copies();  // of blocks that are not there any longer
  }
  if (averaged) optimizer_->exchange_average();
  report.leave_out(seconds_since(begun));
}

void StageRun::end_step(const StepHeader& agreed, bool over, bool best, const StepReport& report) {
  if (agreed.ends()) {
    if (profile_) {  // of the steps so far
      profile_->end(state_.step);
      profile_->finish();
    }
    if (state_.step > last_checkpoint_step_) save(report);
    checkpoints_->finish();
    fail(agreed.end_kind(), "stopped after step ", state_.step, "; a checkpoint is in '", config_.output,
         "'. Run again with --resume to go on");
  }
  if (over ? state_.step > last_checkpoint_step_ : checkpoint_due(agreed) || (best && config_.keep_best))
    save(report);
}

TrainingSummary StageRun::run() {
  std::optional<RunMetrics> metrics;
  if (collectives_.rank() == 0) metrics.emplace(output_ / "metrics.jsonl");
  std::vector<std::string> task_names;
  for (const auto& task : data_->source().tasks()) task_names.push_back(task.name);
  StepReport report(metrics ? &*metrics : nullptr, config_.log_steps, weights_.modalities,
                    std::move(task_names), seconds_before_, collectives_, device_, peak_seconds_per_token_);
  report.restore(state_.numbers);
  const bool was_finished = resumed_ && budget_.progress(state_.step, state_.seconds) >= 1;
  if (!was_finished) {
    if (metrics) metrics->write_events_to(output_, state_.step + 1);
    data_->start(state_.step, *bundle_.transformer);
  }
  if (!was_finished) measure_earlier_tasks();
  start_ = Clock::now();
  // Several ranks send the header of a step while the one before it is computed. One alone waits for nobody
  // and says it last.
  const bool ahead = collectives_.size() > 1;
  Coming next = coming(state_.step);
  agreement_.send(next.header);
  std::optional<StepSums> sums;  // of the step before
  for (bool over = false; !over;) {
    const StepHeader agreed = agreement_.receive();
    over = agreed.progress >= 1;
    if (sums) {
      state_.seconds = seconds_now();
      const MeasuredMemory memory = memory_->measure();
      const bool read =
          report.add(*sums,
                     {config_.stage, state_.step, agreed.progress, state_.seconds, learning_rate_,
                      gradient_norm_, state_.tokens, loader_seconds_, compute_seconds_, memory,
                      graph_ ? std::optional(graph_->counts().replayed_share()) : std::nullopt},
                     over);
      if (read) refuse_endless_skipping();
      if (metrics) memory_->tell(state_.step, memory);
      const bool best = validation_due(over) && validate(metrics ? &*metrics : nullptr, report);
      sample(agreed, over, report);
      end_step(agreed, over, best, report);
      if (profile_) profile_->end(state_.step);
    }
    if (over) break;
    if (state_.step == config_.view_rows_steps) restrict_rows();
    if (profile_) profile_->begin(state_.step + 1);
    const Coming now = std::move(next);
    if (ahead) agreement_.send((next = coming(state_.step + 1)).header);
    sums = take_step(now, agreed);
    if (!ahead) agreement_.send((next = coming(state_.step)).header);
    memory_->note_step(activation_bytes_, sharding_ ? sharding_->peak_bytes() : 0,
                       now.bytes() + next.bytes() + data_->bytes_ahead());
  }
  if (profile_) profile_->finish();
  TrainingSummary summary{.steps = state_.step,
                          .tokens = state_.tokens,
                          .seconds = state_.seconds,
                          .loss = report.latest_loss(),
                          .was_finished = was_finished,
                          .bundle = {},
                          .earlier_losses = {}};
  // What is left is what is measured.
  if (optimizer_->has_average() && config_.ema.bundle) optimizer_->exchange_average();
  if (!was_finished) summary.earlier_losses = earlier_losses(metrics ? &*metrics : nullptr);
  summary.bundle = within_memory(config_.output, end_advice, [&] { return finish(); });
  return summary;
}

// A bundle from before there were word lists read captions that nobody counted: it stays without.
void StageRun::note_words() {
  const tokenizers::TextTokenizer* text = bundle_.tokenizers.text();
  if (text == nullptr || (!find_stage(config_.stage).starts_fresh && !bundle_.words)) return;
  tokenizers::WordList words = data_->source().words(*text);
  if (bundle_.words) words.merge(*bundle_.words);
  bundle_.words = std::move(words);
}

fs::path StageRun::finish() {
  data_->stop();
  if (graph_) {
    const PassGraph::Counts& counts = graph_->counts();
    log_info("cuda_graphs: ", counts.replayed, " micro-batches were replayed, ", counts.plain, " were not");
    graph_.reset();
    bundle_.transformer->forget_copies();  // which lie in its memory
  }
  reduction_.reset();
  memory_.reset();
  bundle_.transformer->set_executor(nn::make_plain_executor());
  sharding_.reset();
  checkpoints_->release();  // before adapters change the weights that it is written from
  optimizer_->unseal();
  optimizer_.reset();
  bundle_.transformer->merge_adapters();
  const fs::path folder = output_ / "bundle";
  if (!cube3d_) bundle_.transformer->fold_codebooks();
  if (collectives_.rank() == 0) {
    if (cube3d_)
      cube3d_->save(bundle_, folder);
    else
      model::save_bundle(bundle_, folder);
  }
  checkpoints_->finish();
  return folder;
}

}  // namespace omni::training
