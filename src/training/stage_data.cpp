#include "stage_data.h"

#include <algorithm>

#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/kernels/profiled_range.h"
#include "omni/tokenizers/caption_text.h"
#include "text_features.h"

namespace omni::training {
namespace {

using WeightedTasks = std::vector<data::BatchSource::WeightedTask>;

double sum_of_weights(const std::vector<std::pair<std::string, double>>& weights) {
  double sum = 0;
  for (const auto& [name, weight] : weights) sum += weight;
  return sum;
}

// New tasks share 1 - replay_share, replayed ones share the rest; a task in both lists gets both.
WeightedTasks weighted_tasks(const StageConfig& config, const model::Bundle& bundle) {
  const model::TransformerConfig& model = bundle.transformer->config();
  WeightedTasks tasks;
  const auto add = [&](const std::vector<std::pair<std::string, double>>& weights, double share) {
    const double sum = sum_of_weights(weights);
    if (sum <= 0 || share <= 0) return;
    for (const auto& [name, weight] : weights) {
      if (weight <= 0) continue;
      const auto same =
          std::find_if(tasks.begin(), tasks.end(), [&](const auto& item) { return item.first.name == name; });
      if (same != tasks.end()) {
        same->second += share * weight / sum;
        continue;
      }
      sequence::Task task = sequence::find_task(name, bundle.tasks);
      model::check_task(model, task);
      tasks.emplace_back(std::move(task), share * weight / sum);
    }
  };
  const double replay_share = config.replay.empty() ? 0 : config.replay_share;
  add(config.mixture, 1 - replay_share);
  add(config.replay, replay_share);
  return tasks;
}

data::BatchOptions training_options(const StageConfig& config, const model::Bundle& bundle) {
  data::BatchOptions options;
  options.seed = static_cast<std::uint64_t>(config.seed);
  options.tokens_per_batch = config.tokens_per_micro_batch;
  options.batches_per_step = config.batches_per_step();
  options.mixture_unit = config.mixture_unit;
  options.mixture_temperature = config.mixture_temperature;
  options.repeat_cap = config.repeat_cap;
  options.total_steps = config.minutes > 0 ? 0 : config.steps;
  options.complete_caption_share = config.complete_caption_share;
  options.brief_caption_share = config.brief_caption_share;
  options.input_noise = config.input_noise;
  options.control_noise = config.control_noise;
  options.any_control_share = config.any_control_share;
  options.incomplete_objects = config.incomplete_objects;
  if (const tokenizers::TextTokenizer* text = bundle.tokenizers.text())
    options.encode_text = [text](std::string_view words) { return tokenizers::encode_caption(*text, words); };
  return options;
}

// Whole objects of that split as they are.
data::BatchOptions plain_options(const StageConfig& config, const model::Bundle& bundle, data::Split split) {
  data::BatchOptions options = training_options(config, bundle);
  options.split = split;
  options.repeat_cap = options.input_noise = options.control_noise = options.any_control_share = 0;
  options.incomplete_objects = false;
  return options;
}

data::BatchOptions laid_out(data::BatchOptions options, const DocumentForm& form) {
  options.own_layout = form.own_layout;
  options.features = form.features;
  return options;
}

}  // namespace

void require_batch_for_each_rank(const StageConfig& config, int ranks) {
  const std::int64_t batches = config.batches_per_step();
  if (ranks > batches)
    fail(
        ErrorKind::usage, "training with ", ranks, " ranks: a step has ", batches,
        " micro-batches, fewer than ranks. Raise tokens_per_step, lower tokens_per_micro_batch, or start fewer");
}

DocumentForm DocumentForm::of(const StageConfig& config, const model::Bundle& bundle) {
  DocumentForm form{bundle.tokenizers.format(), bundle.vocabulary(), bundle.layout(), {}, {}};
  if (bundle.text_tower)
    form.features = condition_features(*bundle.text_tower, bundle.transformer->config(), config.output);
  return form;
}

StageData::StageData(const StageConfig& config, const model::Bundle& bundle, const DocumentForm& form,
                     int rank, int ranks)
    : batches_per_step_(config.batches_per_step()),
      rank_(rank),
      ranks_(ranks),
      own_per_step_((batches_per_step_ - rank + ranks - 1) / ranks),
      steps_(config.steps),
      full_softmax_(config.softmax == "full"),
      fixed_positions_(config.cuda_graphs ? config.tokens_per_micro_batch : 0) {
  require_batch_for_each_rank(config, ranks);
  const std::vector<std::filesystem::path> folders(config.shards.begin(), config.shards.end());
  dataset_ = std::make_shared<const data::TokenDataset>(data::TokenDataset::open(folders));
  data::require_tokenizers(*dataset_, form.tokens,
                           config.start_bundle.empty() ? "the config's 'tokenizers'"
                                                       : concat("the bundle '", config.start_bundle, "'"));
  fingerprint_ = dataset_->fingerprint();
  for (const auto& [name, factor] : config.range_loss_weights) {
    range_weights_.push_back({bundle.vocabulary().range(name), static_cast<float>(factor)});
  }
  const WeightedTasks tasks = weighted_tasks(config, bundle);
  source_ = std::make_unique<data::BatchSource>(dataset_, tasks, form.layout, form.vocabulary,
                                                laid_out(training_options(config, bundle), form));
  if (config.validation_steps > 0) open_validation(config, bundle, form, tasks);
  if (!config.earlier_tasks.empty()) open_earlier(config, bundle, form);
}

void StageData::open_validation(const StageConfig& config, const model::Bundle& bundle,
                                const DocumentForm& form, const WeightedTasks& tasks) {
  data::BatchOptions options =
      laid_out(plain_options(config, bundle, data::parse_split(config.validation_split)), form);
  options.batches_per_step = config.validation_batches;
  try {
    validation_source_ = std::make_unique<data::BatchSource>(dataset_, tasks, form.layout, form.vocabulary,
                                                             std::move(options));
  } catch (const Error& error) {
    fail(error.kind(), "validation: ", error.what(),
         " 'validation_split' names the objects that it takes; validation_steps: 0 goes without");
  }
}

void StageData::open_earlier(const StageConfig& config, const model::Bundle& bundle,
                             const DocumentForm& form) {
  WeightedTasks tasks;
  for (const std::string& name : config.earlier_tasks) {
    tasks.emplace_back(sequence::find_task(name, bundle.tasks), 1);
    model::check_task(bundle.transformer->config(), tasks.back().first);
  }
  const auto open = [&](data::Split split) {
    data::BatchOptions options = laid_out(plain_options(config, bundle, split), form);
    options.mixture_unit = "documents";
    options.batches_per_step = config.validation_batches;
    return std::make_unique<data::BatchSource>(dataset_, tasks, form.layout, form.vocabulary,
                                               std::move(options));
  };
  try {
    earlier_source_ = open(data::parse_split(config.validation_split));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    earlier_source_ = open(data::Split::train);  // where anything else is wrong, it is so here, too
    log_info("losses of earlier tasks are those of training objects, for the shards have none of ",
             config.validation_split, " for all of them");
  }
}

sequence::PackedSequence StageData::make_batch(const data::BatchSource& source, std::int64_t step,
                                               std::int64_t number) const {
  sequence::PackedSequence batch = source.batch(step, number);
  for (const auto& [range, factor] : range_weights_) {
    for (std::size_t i = 0; i < batch.targets.size(); ++i) {
      if (range.contains(batch.targets[i])) batch.loss_weights[i] *= factor;
    }
  }
  return batch;
}

std::vector<sequence::PackedSequence> StageData::step(std::int64_t number) const {
  std::vector<sequence::PackedSequence> batches;
  for (std::int64_t i = 0; i < batches_per_step_; ++i) batches.push_back(make_batch(*source_, number, i));
  return batches;
}

sequence::PackedSequence StageData::measured_batch(const data::BatchSource& source,
                                                   std::int64_t number) const {
  return make_batch(source, 0, number);
}

std::vector<SampleDocument> StageData::sample_documents(const StageConfig& config,
                                                        const model::Bundle& bundle) const {
  sequence::SequenceLayout layout = bundle.layout();
  if (!layout.geometry_lengths.empty()) layout.geometry_lengths = {layout.geometry_capacity()};
  const auto count = static_cast<std::size_t>(config.samples);
  struct TaskDocuments {
    sequence::Task task;
    data::Split split;
    std::unique_ptr<data::BatchSource> source;
  };
  std::vector<TaskDocuments> tasks;
  for (std::size_t t = 0; t < source_->tasks().size() && tasks.size() < count; ++t) {
    sequence::Task task = sequence::find_task(source_->tasks()[t].name, bundle.tasks);
    for (sequence::TaskSegment& segment : task.segments) segment.drop_rate = 0;
    task.joint_drop_rate = 0;
    const auto open = [&](data::Split split) {
      return std::make_unique<data::BatchSource>(dataset_, WeightedTasks{{task, 1}}, layout,
                                                 bundle.vocabulary(), plain_options(config, bundle, split));
    };
    const auto open_if_there = [&](data::Split split) -> std::unique_ptr<data::BatchSource> {
      try {
        return open(split);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::usage) throw;
        if (split == data::Split::train && !config.incomplete_objects) throw;
        return nullptr;
      }
    };
    data::Split split = data::parse_split(config.validation_split);
    std::unique_ptr<data::BatchSource> source = open_if_there(split);
    if (!source) {
      source = open_if_there(split = data::Split::train);
      log_info("samples of ", task.name,
               source ? " start from objects of the training split, for the shards have none of "
                      : " are not made, for no object has all of it; none of ",
               config.validation_split);
    }
    if (source) tasks.push_back({std::move(task), split, std::move(source)});
  }
  std::vector<SampleDocument> documents;
  for (std::size_t i = 0; i < count && !tasks.empty(); ++i) {
    const TaskDocuments& own = tasks[i % tasks.size()];
    documents.push_back(
        {own.task, own.source->document(static_cast<std::int64_t>(i / tasks.size())), own.split});
  }
  return documents;
}

model::PrepareOptions StageData::prepare_options(const data::BatchSource& source) const {
  return {.full_softmax = full_softmax_, .task_count = static_cast<std::int64_t>(source.tasks().size())};
}

std::shared_ptr<const model::BatchCapacity> StageData::measured_capacity(
    const model::Transformer& transformer) const {
  constexpr std::int64_t kBatches = 32;
  constexpr double kRoom = 0.15;
  const model::PrepareOptions options = prepare_options(*source_);
  model::BatchCapacity needs;
  for (std::int64_t i = 0; i < std::min(kBatches, steps_ * batches_per_step_); ++i)
    needs.include(
        transformer.needs(make_batch(*source_, i / batches_per_step_, i % batches_per_step_), options));
  auto capacity = std::make_shared<const model::BatchCapacity>(needs.with_room(kRoom, fixed_positions_));
  log_info("cuda_graphs: micro-batches are laid out in ", capacity->positions(), " positions and ",
           capacity->loss_rows(), " losses of ", capacity->groups.size(),
           " kinds; those that take more are passed without the graph");
  return capacity;
}

void StageData::start(std::int64_t first_step, const model::Transformer& transformer) {
  model::PrepareOptions options = prepare_options(*source_);
  if (fixed_positions_ > 0) options.capacity = measured_capacity(transformer);
  loader_ = std::make_unique<data::PrefetchLoader<model::PreparedBatch>>(
      [this, options, &transformer](std::int64_t index) {
        const kernels::ProfiledRange profiled("data", kernels::ProfiledRange::Kind::phase);
        const std::int64_t step = index / own_per_step_, own = index % own_per_step_;
        const sequence::PackedSequence sequence = make_batch(*source_, step, own * ranks_ + rank_);
        model::PreparedBatch batch = transformer.prepare(sequence, options);
        if (options.capacity && !batch.fills_capacity() && log_enabled(LogLevel::debug))
          log_debug("cuda_graphs: a micro-batch of step ", step + 1, " is passed without the graph: ",
                    options.capacity->lack_for(transformer.needs(sequence, options)));
        bytes_ahead_ += batch.bytes();
        return batch;
      },
      first_step * own_per_step_, steps_ * own_per_step_);
}

std::vector<model::PreparedBatch> StageData::next_step() {
  std::vector<model::PreparedBatch> batches;
  for (std::int64_t i = 0; i < own_per_step_; ++i) {
    std::optional<model::PreparedBatch> batch = loader_->next();
    ensure(batch.has_value(), "the loader ended before the run");
    bytes_ahead_ -= batch->bytes();
    batches.push_back(std::move(*batch));
  }
  return batches;
}

}  // namespace omni::training
