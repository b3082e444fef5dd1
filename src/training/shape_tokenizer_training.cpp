#include "omni/training/shape_tokenizer_training.h"

#include <cmath>

#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/core/text_format.h"
#include "omni/tokenizers/code_use.h"
#include "omni/tokenizers/stored_tokenizer.h"
#include "rank_start.h"
#include "shape_layout_training.h"
#include "tokenizer_rank.h"
#include "tokenizer_run.h"

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
  describe(visitor, config.ranks);
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

class ShapeLearner : public TokenizerLearner {
 public:
  // `share` must outlive it. Its network comes to the device when the run begins.
  ShapeLearner(const ShapeTokenizerTrainingConfig& config, const data::ObjectSource& train,
               const BatchShare& share, at::Device device)
      : seed_(static_cast<std::uint64_t>(config.seed)),
        log_steps_(config.log_steps),
        share_(share),
        device_(device),
        training_(config.layout == "grid" ? make_grid_training(config, share)
                                          : make_vecset_training(config, share)),
        stream_(train, recipe_for(config, training_->tokenizer()), config.objects, share, seed_) {}

  nn::ParameterStore& parameters() override { return training_->parameters(); }
  std::vector<std::pair<std::string, nn::Quantiser*>> quantisers() override {
    return training_->quantisers();
  }

  void begin_step(std::int64_t step) override {
    step_ = step;
    rng_ = CounterRng(seed_, hash_combine(hash_string("step"), static_cast<std::uint64_t>(step)));
  }

  void start_quantisers() override {
    std::vector<ShapeBatch> batches;
    for (int i = 0; i < kStartBatches; ++i) batches.push_back(on_device(stream_.next(step_ + i), device_));
    training_->start_quantisers(batches, rng_);
  }

  Tensor loss(bool quantise) override {
    losses_ = training_->forward(on_device(stream_.next(step_), device_), quantise, rng_);
    return losses_.total;
  }

  void learn_codebooks() override {
    training_->learn_codebooks(rng_);
    use_.add(losses_.indices);
  }

  Figures take_figures(std::int64_t steps_done) override {
    std::vector<ShapeMeasure> measures = {measured_mean(share_, "loss", losses_.total.item<double>())};
    measures.insert(measures.end(), losses_.measured.begin(), losses_.measured.end());
    sum_over_ranks(measures);
    const double loss = measures.front().value();
    Figures figures{.numbers = {}, .note = concat("loss ", std::round(loss * 1e4) / 1e4)};
    for (const ShapeMeasure& measure : measures) {
      figures.numbers.emplace_back(measure.name, measure.value());
      if (measure.name == "point_iou")
        figures.note += concat(", IoU ", std::round(measure.value() * 1e3) / 1e3);
    }
    if (losses_.indices.defined()) add_code_use(steps_done, figures);
    return figures;
  }

  void save(const std::filesystem::path& folder) const override { training_->tokenizer().save(folder); }

 private:
  void sum_over_ranks(std::vector<ShapeMeasure>& measures) const {
    std::vector<double> numbers;
    for (const ShapeMeasure& measure : measures) numbers.insert(numbers.end(), {measure.part, measure.whole});
    share_.sum(numbers, device_);
    for (std::size_t i = 0; i < measures.size(); ++i) {
      measures[i].part = numbers[2 * i];
      measures[i].whole = numbers[2 * i + 1];
    }
  }

  void add_code_use(std::int64_t steps_done, Figures& figures) {
    const std::int64_t vocabulary = training_->tokenizer().geometry_vocabulary();
    share_.sum(use_, vocabulary, device_);
    const double used = static_cast<double>(use_.used()) / static_cast<double>(vocabulary);
    const double perplexity = use_.perplexity();
    figures.numbers.emplace_back("code_perplexity", perplexity);
    figures.numbers.emplace_back("codes_used", used);
    figures.note += concat(", ", std::round(perplexity), " codes");
    if (share_.first() == 0 && use_.collapsed(vocabulary) && steps_done - last_warning_ > 10 * log_steps_) {
      last_warning_ = steps_done;
      log_warning("the codebook has collapsed: ", std::round(used * 1000) / 10,
                  " % of the codes are in use at step ", steps_done,
                  ". Lengthen continuous_share or lower schedule.peak_learning_rate");
    }
    use_.clear();
  }

  std::uint64_t seed_;
  std::int64_t log_steps_;
  const BatchShare& share_;
  at::Device device_;
  std::unique_ptr<ShapeLayoutTraining> training_;
  ShapeSampleStream stream_;
  std::int64_t step_ = 0;
  CounterRng rng_{0};
  ShapeLosses losses_;
  tokenizers::CodeUse use_;  // since the last figures
  std::int64_t last_warning_ = -1000000;
};

ChangeRules change_rules() {
  return {.free = {"steps", "minutes", "checkpoint_minutes", "log_steps", "evaluation_objects", "device",
                   "timeouts"},
          .fixed = {}};
}

RunInputs inputs_of(const ShapeTokenizerTrainingConfig& config, const data::ObjectSource& train) {
  RunInputs inputs = {{"data", hexadecimal(train.fingerprint())}};
  if (!config.start.empty()) inputs["start"] = hexadecimal(tokenizers::folder_fingerprint(config.start));
  return inputs;
}

}  // namespace

TokenizerTrainingSummary train_shape_tokenizer_on_rank(const ShapeTokenizerTrainingConfig& config,
                                                       const data::ObjectSource& train,
                                                       const std::filesystem::path& output,
                                                       const RunOptions& options, distributed::Ranks& ranks,
                                                       at::Device device) {
  TokenizerRun run("shape tokenizer", output, options, ranks, device);
  const BatchShare share("batch", config.batch, ranks.collectives());
  TokenizerRunSettings settings = run_settings(config, change_rules());
  settings.record.inputs = inputs_of(config, train);
  ShapeLearner learner(config, train, share, device);
  return run.train(settings, share, learner);
}

ShapeTokenizerTrainingSummary train_shape_tokenizer(const ShapeTokenizerTrainingConfig& config,
                                                    const data::ObjectSource& train,
                                                    const data::ObjectSource& held_out,
                                                    const std::filesystem::path& output,
                                                    const RunOptions& options) {
  validate(config);
  ShapeTokenizerTrainingSummary summary;
  bool first = false;
  run_on_ranks(config.ranks, [&](distributed::Ranks& ranks, at::Device device) {
    first = ranks.collectives().rank() == 0;
    static_cast<TokenizerTrainingSummary&>(summary) =
        train_shape_tokenizer_on_rank(config, train, output, options, ranks, device);
  });
  if (!first || summary.was_finished) return summary;
  if (held_out.size() == 0) {
    log_warning(
        "the data set holds no objects back, so nothing is measured. omni tokenizer eval shape does it on "
        "others");
    return summary;
  }
  const auto saved = tokenizers::load_shape_tokenizer(output);
  summary.report = evaluate_shape_tokenizer(*saved, held_out, config.evaluation_objects,
                                            hash_combine(static_cast<std::uint64_t>(config.seed), 7));
  return summary;
}

}  // namespace omni::training
