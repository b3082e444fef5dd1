#include "omni/training/shape_tokenizer_training.h"

#include <chrono>
#include <cmath>
#include <optional>

#include "code_use.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"
#include "omni/core/progress.h"
#include "omni/core/run_metrics.h"
#include "omni/kernels/cpu_memory.h"
#include "shape_layout_training.h"
#include "shape_tokenizer_checkpoint.h"

namespace omni::training {

using at::Tensor;

void describe(ConfigVisitor& visitor, ShapeTokenizerTrainingConfig& config) {
  constexpr double kMany = 1e9;
  visitor.choice("layout", config.layout, {"grid", "vecset"});
  visitor.section("grid", [&](ConfigVisitor& s) { tokenizers::describe(s, config.grid); });
  visitor.section("vecset", [&](ConfigVisitor& s) { tokenizers::describe(s, config.vecset); });
  visitor.text("start", config.start);
  visitor.flag("freeze_geometry", config.freeze_geometry);
  visitor.integer("seed", config.seed, {.minimum = 0});
  visitor.integer("objects", config.objects, {.minimum = 1, .maximum = kMany});
  visitor.integer("batch", config.batch, {.minimum = 1, .maximum = 4096});
  visitor.integer("steps", config.steps, {.minimum = 1, .maximum = kMany});
  visitor.number("minutes", config.minutes, {.minimum = 0});
  visitor.number("continuous_share", config.continuous_share, {.minimum = 0, .maximum = 1});
  visitor.number("bypass_share", config.bypass_share, {.minimum = 0, .maximum = 1});
  visitor.number("full_length_share", config.full_length_share, {.minimum = 0, .maximum = 1});
  visitor.number("code_noise", config.code_noise, {.minimum = 0, .maximum = 1});
  visitor.integer("near_points", config.near_points, {.minimum = 0, .maximum = 1 << 20});
  visitor.integer("volume_points", config.volume_points, {.minimum = 1, .maximum = 1 << 20});
  visitor.choice("field_loss", config.field_loss, {"occupancy", "distance"});
  visitor.number("truncation", config.truncation, {.minimum = 1e-3, .maximum = 4});
  visitor.number("near_deviation", config.near_deviation, {.minimum = 0, .maximum = 1});
  visitor.integer("colour_points", config.colour_points, {.minimum = 1, .maximum = 1 << 20});
  visitor.number("stretch", config.stretch, {.minimum = 0, .maximum = 0.9});
  visitor.flag("turns", config.turns);
  visitor.number("grid_loss_weight", config.grid_loss_weight, {.minimum = 0});
  visitor.section("adamw", [&](ConfigVisitor& s) { optimizer::describe(s, config.adamw); });
  visitor.section("schedule", [&](ConfigVisitor& s) { optimizer::describe(s, config.schedule); });
  visitor.number("clip_norm", config.clip_norm, {.minimum = 1e-6});
  visitor.choice("precision", config.precision, {"fp32", "bf16"});
  visitor.number("checkpoint_minutes", config.checkpoint_minutes, {.minimum = 0.01});
  visitor.integer("log_steps", config.log_steps, {.minimum = 1});
  visitor.integer("evaluation_objects", config.evaluation_objects, {.minimum = 1, .maximum = 100000});
}

void validate(const ShapeTokenizerTrainingConfig& config) {
  const bool grid = config.layout == "grid";
  if (grid) {
    tokenizers::validate(config.grid);
  } else {
    tokenizers::validate(config.vecset);
  }
  const auto colour_codes = grid ? config.grid.colour.slots : config.vecset.colour.codes;
  if (config.freeze_geometry && (config.start.empty() || colour_codes == 0))
    fail(ErrorKind::usage,
         "training a shape tokenizer: freeze_geometry leaves nothing to train. Give start and ",
         grid ? "grid.colour.slots" : "vecset.colour.codes");
}

namespace {

constexpr int kStartBatches = 4;  // whose vectors seed the codebooks

double elapsed_seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

ShapeSampleRecipe recipe_for(const ShapeTokenizerTrainingConfig& config,
                             const tokenizers::ShapeTokenizer& tokenizer) {
  ShapeSampleRecipe recipe;
  recipe.input = tokenizer.required_input();
  recipe.near_points = config.near_points;
  recipe.volume_points = config.volume_points;
  recipe.near_deviation = config.near_deviation;
  recipe.distances = config.field_loss == "distance";
  recipe.stretch = config.stretch;
  recipe.turns = config.turns;
  recipe.colour_points = tokenizer.colour_code_count() > 0 ? config.colour_points : 0;
  return recipe;
}

class Run {
 public:
  Run(const ShapeTokenizerTrainingConfig& config, const data::ObjectSource& train,
      const std::filesystem::path& metrics, std::filesystem::path checkpoint)
      : config_(config),
        seed_(static_cast<std::uint64_t>(config.seed)),
        training_(config.layout == "grid" ? make_grid_training(config) : make_vecset_training(config)),
        optimizer_(training_->parameters(), config.adamw),
        stream_(train, recipe_for(config, training_->tokenizer()), config.objects, config.batch, seed_),
        use_(training_->tokenizer().geometry_vocabulary()),
        metrics_path_(metrics),
        checkpoint_(std::move(checkpoint)) {}

  void resume() { state_ = load_shape_checkpoint(checkpoint_, config_, *training_, optimizer_); }

  // Until the run's steps or minutes are over; the state tells how many they were.
  ShapeTrainingState train() {
    keep_metrics_until(metrics_path_, state_.step - 1);
    metrics_.emplace(metrics_path_);
    const auto begin = std::chrono::steady_clock::now();
    const double before = state_.seconds;
    double saved = before;
    const bool timed = config_.minutes > 0;
    constexpr std::int64_t kTicks = 1000;
    Progress progress("shape tokenizer", timed ? kTicks : config_.steps, timed ? "‰" : "steps");
    std::int64_t shown = 0;
    for (std::int64_t& step = state_.step;; ++step) {
      state_.seconds = before + elapsed_seconds(begin);
      if (interrupt_requested() || state_.seconds > saved + 60 * config_.checkpoint_minutes) {
        save_shape_checkpoint(checkpoint_, config_, *training_, optimizer_, state_);
        saved = state_.seconds;
      }
      if (interrupt_requested())
        fail(stop_kind(), "stopped after step ", step, "; a checkpoint is in ", checkpoint_,
             ". Run again with --resume to go on");
      const double done = timed ? state_.seconds / (60 * config_.minutes)
                                : static_cast<double>(step) / static_cast<double>(config_.steps);
      if (done >= 1) return state_;
      one_step(step, done);
      if (step % config_.log_steps == 0) report(step, done, state_.seconds, progress);
      const auto now = timed ? static_cast<std::int64_t>(done * kTicks) : step + 1;
      progress.advance(now - shown);
      shown = now;
    }
  }

  const tokenizers::ShapeTokenizer& tokenizer() { return training_->tokenizer(); }

 private:
  void one_step(std::int64_t step, double done) {
    const bool quantise = done >= config_.continuous_share;
    CounterRng rng(seed_, hash_combine(hash_string("step"), static_cast<std::uint64_t>(step)));
    const ShapeBatch batch = stream_.next(step);
    if (quantise && !state_.quantising) start_quantisers(step, rng);
    losses_ = training_->forward(batch, quantise, rng);
    optimizer_.zero_gradients();
    losses_.total.backward();
    gradient_norm_ = optimizer::clip_gradients(training_->parameters(), config_.clip_norm);
    if (!std::isfinite(gradient_norm_)) {
      log_warning("step ", step, ": the gradient is not finite; the step is skipped");
      return;
    }
    optimizer_.step(optimizer::learning_rate_at(config_.schedule, done));
    if (!quantise) return;
    training_->learn_codebooks(rng);
    use_.add(losses_.indices);
  }

  void start_quantisers(std::int64_t step, CounterRng& rng) {
    std::vector<ShapeBatch> batches;
    for (int i = 0; i < kStartBatches; ++i) batches.push_back(stream_.next(step + i));
    training_->start_quantisers(batches, rng);
    state_.quantising = true;
    log_info("step ", step, ": codes are quantised from here on");
  }

  void report(std::int64_t step, double done, double seconds, Progress& progress) {
    std::vector<std::pair<std::string, double>> numbers = {
        {"step", static_cast<double>(step)}, {"seconds", seconds}, {"loss", losses_.total.item<double>()}};
    numbers.insert(numbers.end(), losses_.measured.begin(), losses_.measured.end());
    numbers.emplace_back("gradient_norm", gradient_norm_);
    numbers.emplace_back("learning_rate", optimizer::learning_rate_at(config_.schedule, done));
    std::string note = concat("loss ", std::round(losses_.total.item<double>() * 1e4) / 1e4);
    for (const auto& [name, value] : losses_.measured)
      if (name == "point_iou") note += concat(", IoU ", std::round(value * 1e3) / 1e3);
    if (losses_.indices.defined()) {
      const double used = use_.used(), perplexity = use_.perplexity();
      numbers.emplace_back("code_perplexity", perplexity);
      numbers.emplace_back("codes_used", used);
      note += concat(", ", std::round(perplexity), " codes");
      if (use_.collapsed() && step - last_warning_ > 10 * config_.log_steps) {
        last_warning_ = step;
        log_warning("the codebook has collapsed: ", std::round(used * 1000) / 10,
                    " % of the codes are in use at step ", step,
                    ". Lengthen continuous_share or lower schedule.peak_learning_rate");
      }
      use_.clear();
    }
    metrics_->write(numbers);
    progress.set_note(note);
  }

  ShapeTokenizerTrainingConfig config_;
  std::uint64_t seed_;
  std::unique_ptr<ShapeLayoutTraining> training_;
  optimizer::AdamW optimizer_;
  ShapeSampleStream stream_;
  CodeUse use_;  // since the last report
  std::filesystem::path metrics_path_;
  std::optional<RunMetrics> metrics_;
  ShapeLosses losses_;
  double gradient_norm_ = 0;
  std::int64_t last_warning_ = -1000000;
  std::filesystem::path checkpoint_;
  ShapeTrainingState state_;
};

}  // namespace

ShapeTokenizerTrainingSummary train_shape_tokenizer(const ShapeTokenizerTrainingConfig& config,
                                                    const data::ObjectSource& train,
                                                    const data::ObjectSource& held_out,
                                                    const std::filesystem::path& output, bool resume) {
  validate(config);
  kernels::keep_freed_memory();
  const auto target = std::filesystem::absolute(output).lexically_normal();
  const auto folder = target.has_filename() ? target : target.parent_path();
  prepare_output_directory(folder.parent_path());
  require_replaceable(folder, "weights.safetensors");
  auto metrics = folder;
  metrics += ".metrics.jsonl";
  const auto checkpoint = shape_checkpoint_path(folder);
  const bool unfinished = std::filesystem::exists(checkpoint);
  if (unfinished && !resume)
    fail(ErrorKind::usage, "training a shape tokenizer: ", checkpoint,
         " is of a run that was stopped. Go on from it with --resume, or remove it");
  ShapeTokenizerTrainingSummary summary;
  {
    Run run(config, train, metrics, checkpoint);
    if (unfinished) run.resume();
    const ShapeTrainingState end = run.train();
    summary.steps = end.step;
    summary.seconds = end.seconds;
    run.tokenizer().save(folder);
  }
  std::error_code ignored;  // the tokenizer is whole; what lies beside it may stay
  std::filesystem::rename(metrics, folder / "metrics.jsonl", ignored);
  std::filesystem::remove(checkpoint, ignored);
  if (held_out.size() == 0) {
    log_warning(
        "the data set holds no objects back, so nothing is measured. omni tokenizer eval shape does it on "
        "others");
    return summary;
  }
  const auto saved = tokenizers::load_shape_tokenizer(folder);
  summary.report = evaluate_shape_tokenizer(*saved, held_out, config.evaluation_objects,
                                            hash_combine(static_cast<std::uint64_t>(config.seed), 7));
  return summary;
}

}  // namespace omni::training
