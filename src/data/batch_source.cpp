#include "omni/data/batch_source.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "document_builder.h"
#include "input_noise.h"
#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/core/random.h"
#include "omni/data/edit_pairs.h"
#include "omni/data/mixture.h"
#include "omni/data/seeded_permutation.h"
#include "omni/geometry/camera.h"

namespace omni::data {
namespace {

using sequence::Modality;

void require(bool holds, std::string_view what) {
  if (!holds) fail(ErrorKind::usage, "setting up the training batches: ", what, ".");
}

void check_options(const BatchOptions& options) {
  const auto is_share = [](double value) { return value >= 0 && value <= 1; };
  require(options.tokens_per_batch > 0 && options.tokens_per_batch <= (std::int64_t{1} << 30),
          "tokens_per_batch must be at least 1");
  require(options.batches_per_step > 0, "batches_per_step must be at least 1");
  require(options.documents_per_batch >= 0, "documents_per_batch must not be negative");
  require(options.mixture_unit == "documents" || options.mixture_unit == "tokens",
          "the unit of the mixture is documents or tokens");
  require(options.on_repeat == "error" || options.on_repeat == "reweight",
          "what happens at the repeat cap is error or reweight");
  require(is_share(options.complete_caption_share) && is_share(options.brief_caption_share) &&
              is_share(options.any_control_share),
          "a share is outside 0 .. 1");
  require(!options.own_layout || (options.input_noise == 0 && options.control_noise == 0),
          "input_noise and control_noise are for documents under the grammar");
  for (const double noise : {options.input_noise, options.control_noise})
    require(noise >= 0 && noise <= 0.5, "a noise is outside 0 .. 0.5");
}

void check_task_fits(const sequence::Task& task, const sequence::SequenceLayout& layout,
                     const sequence::Vocabulary& vocabulary, const BatchOptions& options) {
  sequence::check_task(task);
  std::vector<Modality> modalities;
  std::vector<sequence::SegmentPlan> plan;
  for (const sequence::TaskSegment& segment : task.segments) {
    modalities.push_back(segment.modality);
    plan.push_back({.modality = segment.modality});
    if (segment.view && !vocabulary.has(sequence::kRangeAzimuth)) {
      fail(ErrorKind::usage, "setting up the task \"", task.name,
           "\": it needs view tokens, which the vocabulary does not have yet. Append them, or take the task "
           "without "
           "@view.");
    }
  }
  const sequence::GrammarWalker check(vocabulary, layout, plan);
  const std::int64_t longest =
      options.own_layout ? options.own_layout->length : check.parts().document_capacity(modalities);
  if (longest > options.tokens_per_batch) {
    fail(ErrorKind::usage, "setting up the task \"", task.name, "\": one document takes up to ", longest,
         " tokens, but a batch holds ", options.tokens_per_batch, ". Raise the tokens per batch.");
  }
  if (sequence::is_editing_task(task) && !options.encode_text) {
    fail(ErrorKind::usage, "setting up the task \"", task.name, "\": editing needs the text tokenizer.");
  }
}

struct TaskState {
  sequence::Task task;
  std::shared_ptr<const std::vector<std::int64_t>> objects;
  EditPairs edits;                             // editing tasks: instead of objects
  std::vector<EditInstructions> instructions;  // for each of the changes
  std::uint64_t seed = 0;
  double tokens_mean = 1, tokens_variance = 0;

  std::int64_t examples() const {
    return static_cast<std::int64_t>(sequence::is_editing_task(task) ? edits.pairs.size() : objects->size());
  }
};

// The tasks, and the views and sizes of the objects that they draw.
void note_objects(const TokenDataset& dataset, const std::vector<TaskState>& tasks,
                  tokenizers::WordList& words) {
  const auto count = static_cast<std::size_t>(dataset.size());
  std::vector<bool> pictured(count), shaped(count);
  for (const TaskState& task : tasks) {
    std::vector<std::int64_t> objects;
    if (!sequence::is_editing_task(task.task)) objects = *task.objects;
    for (const EditPair& pair : task.edits.pairs) {
      objects.push_back(pair.before);
      objects.push_back(pair.after);
    }
    const auto takes = [&](Modality modality) {
      return std::any_of(task.task.segments.begin(), task.task.segments.end(),
                         [&](const auto& segment) { return segment.modality == modality; });
    };
    std::sort(objects.begin(), objects.end());
    objects.erase(std::unique(objects.begin(), objects.end()), objects.end());
    words.add_task(task.task.name, static_cast<std::int64_t>(objects.size()));
    for (const std::int64_t object : objects) {
      const auto index = static_cast<std::size_t>(object);
      pictured[index] = pictured[index] || takes(Modality::image);
      shaped[index] = shaped[index] || takes(Modality::shape);
    }
  }
  for (std::int64_t object = 0; object < dataset.size(); ++object) {
    const auto [shard, local] = dataset.at(object);
    const auto index = static_cast<std::size_t>(object);
    const tokenizers::TokenFormat& tokens = shard->info().tokens;
    for (std::int64_t view = 0;
         pictured[index] && tokens.image.present() && view < shard->info().views_per_object; ++view) {
      const auto [azimuth, elevation] = shard->view_bins(local, view);
      words.add_view({static_cast<std::int32_t>(geometry::azimuth_of_bin(azimuth)),
                      static_cast<std::int32_t>(geometry::elevation_of_bin(elevation))});
    }
    if (shaped[index] && tokens.shape.present())
      words.add_size(shard->class_name(local), sequence::size_of_bin(shard->size_bin(local)));
  }
}

}  // namespace

struct BatchSource::State {
  std::shared_ptr<const TokenDataset> dataset;
  sequence::SequenceLayout layout;
  sequence::Vocabulary vocabulary;
  BatchOptions options;
  std::unique_ptr<DocumentBuilder> builder;
  std::vector<TaskState> tasks;
  std::vector<TaskSummary> summaries;
  std::unique_ptr<MixtureSchedule> schedule;
  std::int64_t documents_per_batch = 0;
  double mean_tokens = 0;

  std::vector<std::int64_t> eligible_objects(const sequence::Task& task) const;
  void add_task(const WeightedTask& weighted,
                std::map<std::string, std::shared_ptr<std::vector<std::int64_t>>>& known);
  // Throws Error(usage) where captions are there and all are too long.
  void require_captions_that_fit(const sequence::Task& task) const;
  void measure(TaskState& task) const;
  void mix(const std::vector<double>& weights);
  void size_batches(const std::vector<double>& shares);
  Example example(const TaskState& task, std::int64_t use) const;
  // Returns false where it does not fit any more.
  bool append(sequence::PackedSequence& packed, const sequence::Document& document) const;
  // `draw` is the schedule's for this number.
  sequence::Document document(std::int64_t number, const MixtureSchedule::Draw& draw) const;
};

std::vector<std::int64_t> BatchSource::State::eligible_objects(const sequence::Task& task) const {
  std::vector<std::int64_t> objects;
  for (std::int64_t i = 0; i < dataset->size(); ++i) {
    if (builder->serves(task, "target", i) && builder->serves(task, "before", i)) objects.push_back(i);
  }
  return objects;
}

void BatchSource::State::require_captions_that_fit(const sequence::Task& task) const {
  std::int64_t shortest = std::numeric_limits<std::int64_t>::max();
  for (std::int64_t i = 0; i < dataset->size(); ++i) {
    const TokenDataset::Place place = dataset->at(i);
    for (std::int64_t caption = 0; caption < place.shard->caption_count(place.object); ++caption)
      shortest = std::min<std::int64_t>(shortest, place.shard->caption_length(place.object, caption));
  }
  if (shortest <= layout.text_capacity || shortest == std::numeric_limits<std::int64_t>::max()) return;
  fail(ErrorKind::usage, "setting up the task \"", task.name, "\": no caption fits into text_capacity (",
       layout.text_capacity, " tokens); the shortest has ", shortest, ". Raise text_capacity.");
}

void BatchSource::State::add_task(const WeightedTask& weighted,
                                  std::map<std::string, std::shared_ptr<std::vector<std::int64_t>>>& known) {
  check_task_fits(weighted.first, layout, vocabulary, options);
  TaskState state{.task = weighted.first};
  // Tasks that need the same of an object share their list.
  std::array<int, sequence::kModalityCount> needs{};
  for (const sequence::TaskSegment& segment : state.task.segments)
    ++needs[static_cast<std::size_t>(segment.modality)];
  const bool edit = sequence::is_editing_task(state.task);
  const bool by_name = edit || options.incomplete_objects;  // where it counts what carries loss
  const std::string key = by_name ? state.task.name : concat(needs[0] > 0, needs[1], needs[2] > 0);
  auto& objects = known[key];
  if (!objects) objects = std::make_shared<std::vector<std::int64_t>>(eligible_objects(state.task));
  state.objects = objects;
  if (edit) {
    state.edits = find_edit_pairs(*dataset, *objects);
    for (const AttributeChange& change : state.edits.changes)
      state.instructions.push_back(edit_instructions(change));
  }
  if (state.examples() == 0) {
    if (needs[static_cast<std::size_t>(Modality::text)] > 0) require_captions_that_fit(state.task);
    fail(ErrorKind::usage, "setting up the task \"", state.task.name, "\": no object of the split \"",
         split_name(options.split), "\" has what it needs",
         edit ? ", or none differs from another in one attribute" : "",
         ". Leave the task out, or tokenise data that has it.");
  }
  state.seed = hash_combine(options.seed, hash_string(state.task.name));
  tasks.push_back(std::move(state));
}

Example BatchSource::State::example(const TaskState& task, std::int64_t use) const {
  const auto count = static_cast<std::uint64_t>(task.examples());
  const std::uint64_t epoch = static_cast<std::uint64_t>(use) / count;
  const SeededPermutation order(count, hash_combine(task.seed, epoch));
  const std::uint64_t index = order(static_cast<std::uint64_t>(use) % count);
  if (!sequence::is_editing_task(task.task)) return {.object = (*task.objects)[index]};
  const EditPair& pair = task.edits.pairs[index];
  return {
      .object = pair.after, .before = pair.before, .instructions = task.instructions[pair.change].trained};
}

// Lengths differ by captions and drops only, so a few hundred documents tell their mean and variance.
void BatchSource::State::measure(TaskState& task) const {
  if (options.own_layout) {
    task.tokens_mean = static_cast<double>(options.own_layout->length);
    return;
  }
  constexpr std::int64_t kSample = 256;
  double sum = 0, squares = 0;
  for (std::int64_t i = 0; i < kSample; ++i) {
    const CounterRng rng(hash_combine(task.seed, hash_string("measure")), static_cast<std::uint64_t>(i));
    const sequence::Document document = builder->build(task.task, example(task, i), rng);
    const auto tokens = static_cast<double>(sequence::document_tokens(document, vocabulary, layout).size());
    sum += tokens;
    squares += tokens * tokens;
  }
  task.tokens_mean = sum / kSample;
  task.tokens_variance = std::max(0.0, squares / kSample - task.tokens_mean * task.tokens_mean);
}

void BatchSource::State::size_batches(const std::vector<double>& shares) {
  double mean = 0, squares = 0;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    mean += shares[i] * tasks[i].tokens_mean;
    squares += shares[i] * (tasks[i].tokens_variance + tasks[i].tokens_mean * tasks[i].tokens_mean);
  }
  const double standard_deviation = std::sqrt(std::max(0.0, squares - mean * mean));
  documents_per_batch = options.documents_per_batch;
  if (documents_per_batch == 0) {
    const auto capacity = static_cast<double>(options.tokens_per_batch);
    auto count = static_cast<std::int64_t>(capacity / mean);
    while (count > 1 && static_cast<double>(count) * mean +
                                2 * standard_deviation * std::sqrt(static_cast<double>(count)) >
                            capacity) {
      --count;
    }
    documents_per_batch = std::max<std::int64_t>(1, count);
  }
  mean_tokens = std::min(static_cast<double>(options.tokens_per_batch),
                         mean * static_cast<double>(documents_per_batch));
}

// The number of documents depends on the shares, and the shares, through the repeat cap, on the number of
// documents: two rounds settle both.
void BatchSource::State::mix(const std::vector<double>& weights) {
  std::vector<MixtureEntry> entries;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    entries.push_back({weights[i], tasks[i].tokens_mean, tasks[i].examples()});
  }
  MixtureOptions mixture{.weights_count_tokens = options.mixture_unit == "tokens",
                         .temperature = options.mixture_temperature};
  std::vector<double> shares = mixture_shares(entries, mixture);
  size_batches(shares);
  if (options.repeat_cap > 0 && options.total_steps > 0) {
    mixture.repeat_cap = options.repeat_cap;
    mixture.reweight = options.on_repeat == "reweight";
    mixture.total_documents = static_cast<double>(options.total_steps) *
                              static_cast<double>(options.batches_per_step * documents_per_batch);
    shares = mixture_shares(entries, mixture);
    size_batches(shares);
  }
  schedule = std::make_unique<MixtureSchedule>(shares, hash_combine(options.seed, hash_string("mixture")));
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    summaries.push_back({tasks[i].task.name, shares[i], tasks[i].examples(), tasks[i].tokens_mean});
  }
}

sequence::Document BatchSource::State::document(std::int64_t number,
                                                const MixtureSchedule::Draw& draw) const {
  const TaskState& task = tasks[draw.task];
  const std::int64_t epoch = draw.use / task.examples();
  if (options.repeat_cap > 0 && options.on_repeat == "error" &&
      static_cast<double>(epoch) >= std::ceil(options.repeat_cap)) {
    fail(ErrorKind::usage, "drawing a training batch: the task \"", task.task.name, "\" has shown its ",
         task.examples(), " examples ", options.repeat_cap,
         " times. Raise the repeat cap or lower the task's weight.");
  }
  const CounterRng rng(hash_combine(options.seed, hash_string("document")),
                       static_cast<std::uint64_t>(number));
  return builder->build(task.task, example(task, draw.use), rng);
}

bool BatchSource::State::append(sequence::PackedSequence& packed, const sequence::Document& document) const {
  if (!options.own_layout)
    return sequence::append_document(packed, document, vocabulary, layout, options.tokens_per_batch,
                                     options.features ? &*options.features : nullptr);
  if (options.own_layout->length > options.tokens_per_batch - packed.length()) return false;
  options.own_layout->append(packed, document);
  return true;
}

BatchSource::BatchSource(std::shared_ptr<const TokenDataset> dataset, const std::vector<WeightedTask>& tasks,
                         const sequence::SequenceLayout& layout, const sequence::Vocabulary& vocabulary,
                         BatchOptions options) {
  check_options(options);
  sequence::check_layout(layout, vocabulary);
  auto state = std::make_unique<State>();
  state->dataset = std::move(dataset);
  state->layout = layout;
  state->vocabulary = vocabulary;
  state->options = std::move(options);
  state->builder = std::make_unique<DocumentBuilder>(*state->dataset, state->layout,
                                                     vocabulary.has(sequence::kRangeAzimuth), state->options);
  std::map<std::string, std::shared_ptr<std::vector<std::int64_t>>> known;
  std::vector<double> weights;
  for (const WeightedTask& task : tasks) {
    if (task.second == 0) continue;
    state->add_task(task, known);
    state->measure(state->tasks.back());
    weights.push_back(task.second);
  }
  state->mix(weights);
  state_ = std::move(state);
}

BatchSource::~BatchSource() = default;

sequence::PackedSequence BatchSource::batch(std::int64_t step, std::int64_t micro_step) const {
  ensure(step >= 0 && micro_step >= 0 && micro_step < state_->options.batches_per_step, "no batch ", step,
         ".", micro_step);
  const std::int64_t first =
      (step * state_->options.batches_per_step + micro_step) * state_->documents_per_batch;
  sequence::PackedSequence packed;
  for (std::int64_t i = 0; i < state_->documents_per_batch; ++i) {
    const MixtureSchedule::Draw draw = state_->schedule->draw(first + i);
    const sequence::Document document = state_->document(first + i, draw);
    if (state_->append(packed, document))
      packed.document_tasks.push_back(static_cast<std::int32_t>(draw.task));
  }
  const InputNoise noise{state_->options.input_noise, state_->options.control_noise};
  if (noise.codes > 0 || noise.controls > 0)
    add_input_noise(packed, sequence::SegmentParts(state_->vocabulary, state_->layout), noise,
                    CounterRng(hash_combine(state_->options.seed, hash_string("input noise")),
                               static_cast<std::uint64_t>(first)));
  return packed;
}

BatchSource::Draw BatchSource::draw(std::int64_t document) const {
  const MixtureSchedule::Draw draw = state_->schedule->draw(document);
  const TaskState& task = state_->tasks[draw.task];
  const Example example = state_->example(task, draw.use);
  return {draw.task, draw.use / task.examples(), example.object, example.before};
}

sequence::Document BatchSource::document(std::int64_t number) const {
  return state_->document(number, state_->schedule->draw(number));
}

tokenizers::WordList BatchSource::words(const tokenizers::TextTokenizer& text) const {
  const DocumentBuilder& builder = *state_->builder;
  tokenizers::WordList words;
  std::vector<bool> seen(static_cast<std::size_t>(state_->dataset->size()));
  // Conditions first: what they may draw holds all that texts to be written may.
  for (const bool is_condition : {true, false}) {
    for (const TaskState& task : state_->tasks) {
      const bool reads =
          std::any_of(task.task.segments.begin(), task.task.segments.end(),
                      [&](const auto& s) { return s.modality == Modality::text && s.loss != is_condition; });
      if (!reads || sequence::is_editing_task(task.task)) continue;
      for (const std::int64_t object : *task.objects) {
        if (seen[static_cast<std::size_t>(object)]) continue;
        seen[static_cast<std::size_t>(object)] = true;
        const TokenDataset::Place place = state_->dataset->at(object);
        words.add_class(place.shard->class_name(place.object));
        for (std::int64_t i = 0; i < place.shard->caption_count(place.object); ++i)
          if (builder.draws(place, i, is_condition))
            words.add_caption(text.decode(place.shard->caption(place.object, i)));
      }
    }
  }
  std::set<std::string> instructions;
  for (const TaskState& task : state_->tasks) {
    for (const EditPair& pair : task.edits.pairs)
      for (const Instruction& instruction : task.instructions[pair.change].trained) {
        words.add_instruction(task.task.name, instruction.pattern, instruction.text);
        instructions.insert(instruction.text);
      }
  }
  for (const std::string& instruction : instructions) words.add_caption(instruction);
  note_objects(*state_->dataset, state_->tasks, words);
  return words;
}

const std::vector<BatchSource::TaskSummary>& BatchSource::tasks() const { return state_->summaries; }
std::int64_t BatchSource::documents_per_batch() const { return state_->documents_per_batch; }
double BatchSource::mean_tokens_per_batch() const { return state_->mean_tokens; }

}  // namespace omni::data
