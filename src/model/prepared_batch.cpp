#include "omni/model/prepared_batch.h"

#include <algorithm>
#include <map>
#include <utility>

#include "omni/core/error.h"
#include "prepared_arrays.h"

namespace omni::model {
namespace {

// The CPU's matrix library compiles a kernel for each shape that it meets, which takes longer than to run it:
// row counts are rounded up to a multiple, so that a run meets few shapes.
constexpr std::int64_t kRowMultiple = 128;

// The segments of a packed sequence that see all of themselves.
std::vector<kernels::RowRange> bidirectional_ranges(const TransformerConfig& config,
                                                    const sequence::PackedSequence& sequence) {
  std::vector<kernels::RowRange> ranges;
  if (config.bidirectional.empty()) return ranges;
  for (std::int64_t d = 0; d < sequence.document_count(); ++d) {
    const std::int64_t end = sequence.document_starts[d + 1];
    for (std::int64_t i = sequence.document_starts[d], last; i < end; i = last) {
      last = i + 1;
      while (last < end && sequence.segments[last] == sequence.segments[i] &&
             sequence.streams[last] == sequence.streams[i])
        ++last;
      if (config.is_bidirectional(sequence.streams[i])) ranges.push_back({i, last});
    }
  }
  return ranges;
}

// Every token of the vocabulary at every position.
void allow_everything(sequence::PackedSequence& sequence, std::int32_t vocabulary_size) {
  sequence::AllowedTokens all;
  all.add(0, vocabulary_size);
  sequence.allowed_sets = {all};
  for (std::int32_t& allowed : sequence.allowed) allowed = allowed < 0 ? allowed : 0;
}

// The output rows of a set of tokens, cut where codebooks begin and end.
std::vector<kernels::ClassRun> class_runs(const Transformer::Network& network,
                                          const sequence::AllowedTokens& allowed) {
  std::vector<kernels::ClassRun> runs;
  for (int r = 0; r < allowed.run_count; ++r) {
    const std::int64_t end = allowed.runs[r].first + allowed.runs[r].size;
    for (std::int64_t first = allowed.runs[r].first; first < end; first += runs.back().size) {
      kernels::ClassRun run{.first = first, .size = end - first};
      for (std::size_t c = 0; c < network.code_ranges.size() && !network.head.defined(); ++c) {
        const sequence::TokenRange& range = network.code_ranges[c].range;
        if (range.first > first) run.size = std::min<std::int64_t>(run.size, range.first - first);
        if (!range.contains(static_cast<std::int32_t>(first))) continue;
        run.size = std::min<std::int64_t>(run.size, range.first + range.size - first);
        run.codebook = static_cast<std::int64_t>(c);
        run.first_code = first - range.first;
      }
      runs.push_back(run);
    }
  }
  return runs;
}

// The rows of one group while it is collected.
struct GroupRows {
  std::vector<kernels::ClassRun> runs;
  std::vector<std::int64_t> columns;  // of each run
  std::vector<std::int64_t> positions;
  std::vector<std::int32_t> targets;

  std::int32_t column_of(std::int32_t token) const {
    for (std::size_t r = 0; r < runs.size(); ++r)
      if (token >= runs[r].first && token < runs[r].first + runs[r].size)
        return static_cast<std::int32_t>(columns[r] + token - runs[r].first);
    return -1;
  }
};

using Groups = std::map<std::pair<std::int32_t, std::size_t>, GroupRows>;  // by allowed set and modality

Groups loss_groups(const Transformer::Network& network, const sequence::PackedSequence& sequence) {
  Groups groups;
  for (std::int64_t i = 0; i < sequence.length(); ++i) {
    if (sequence.loss_weights[i] <= 0) continue;
    const auto modality = static_cast<std::size_t>(sequence.target_modalities[i]);
    const std::int32_t allowed = sequence.allowed[i];
    ensure(allowed >= 0 && modality < sequence::kModalityCount, "a loss at the end of a document");
    if (network.config.drops_text() && sequence.streams[i] == sequence::Modality::text)
      fail(ErrorKind::usage,
           "training: a text position carries loss, but single_over: generated leaves text without output");
    GroupRows& group = groups[{allowed, modality}];
    if (group.runs.empty()) {
      group.runs = class_runs(network, sequence.allowed_sets[allowed]);
      group.columns = kernels::class_columns(group.runs);
    }
    group.positions.push_back(i);
    group.targets.push_back(group.column_of(sequence.targets[i]));
    ensure(group.targets.back() >= 0, "target ", sequence.targets[i],
           " is not allowed by the grammar at position ", i);
  }
  return groups;
}

// Document positions -> rows of the network's output.
std::vector<std::int64_t> output_rows(const TransformerConfig& config,
                                      const sequence::PackedSequence& sequence) {
  std::vector<std::int64_t> rows;
  std::int64_t next = 0;
  for (const sequence::Modality stream : sequence.streams)
    rows.push_back(config.drops_text() && stream == sequence::Modality::text ? -1 : next++);
  return rows;
}

std::vector<std::int64_t> task_of_position(const sequence::PackedSequence& sequence,
                                           std::int64_t task_count) {
  std::vector<std::int64_t> tasks(static_cast<std::size_t>(sequence.length()), -1);
  for (std::size_t d = 0; d < sequence.document_tasks.size(); ++d) {
    const std::int32_t task = sequence.document_tasks[d];
    ensure(task >= 0 && task < task_count, "a document of task ", task, " of ", task_count);
    std::fill(tasks.begin() + sequence.document_starts[d], tasks.begin() + sequence.document_starts[d + 1],
              task);
  }
  return tasks;
}

void write_groups(const Transformer::Network& network, const sequence::PackedSequence& sequence,
                  PreparedBatch::Arrays& arrays) {
  const std::vector<std::int64_t> row_of = output_rows(network.config, sequence),
                                  task_of = task_of_position(sequence, arrays.task_count);
  std::vector<std::int64_t> outputs, positions, modalities, tasks;
  std::vector<std::int32_t> targets;
  std::vector<float> weights;
  for (auto& [key, group] : loss_groups(network, sequence)) {
    const std::size_t modality = key.second;
    for (std::size_t i = 0; i < group.positions.size(); ++i) {
      const std::int64_t position = group.positions[i];
      outputs.push_back(row_of[position]);
      positions.push_back(position);
      targets.push_back(group.targets[i]);
      weights.push_back(sequence.loss_weights[position]);
      modalities.push_back(static_cast<std::int64_t>(modality));
      tasks.push_back(task_of[position]);
    }
    std::int64_t rows = static_cast<std::int64_t>(group.positions.size());
    for (; rows % kRowMultiple != 0; ++rows) {
      outputs.push_back(row_of[group.positions.front()]);
      positions.push_back(arrays.length);
      targets.push_back(group.targets.front());
      weights.push_back(0);
      modalities.push_back(-1);
      tasks.push_back(-1);
    }
    arrays.groups.push_back({modality, rows, std::move(group.runs)});
  }
  arrays.outputs = arrays.arena.add(outputs);
  arrays.positions = arrays.arena.add(positions);
  arrays.targets = arrays.arena.add(targets);
  arrays.weights = arrays.arena.add(weights);
  arrays.modalities = arrays.arena.add(modalities);
  arrays.tasks = arrays.arena.add(tasks);
}

BatchCounts counts_of(const sequence::PackedSequence& sequence, std::int64_t task_count) {
  BatchCounts counts;
  counts.tokens = sequence.length();
  counts.task_weights.resize(static_cast<std::size_t>(task_count));
  counts.task_tokens.resize(static_cast<std::size_t>(task_count));
  const std::vector<std::int64_t> tasks = task_of_position(sequence, task_count);
  for (std::int64_t i = 0; i < sequence.length(); ++i) {
    if (tasks[i] >= 0) ++counts.task_tokens[tasks[i]];
    const float weight = sequence.loss_weights[i];
    if (weight <= 0) continue;
    const auto modality = static_cast<std::size_t>(sequence.target_modalities[i]);
    counts.weights.at(modality) += weight;
    ++counts.targets[modality];
    if (tasks[i] >= 0) counts.task_weights[tasks[i]] += weight;
  }
  return counts;
}

}  // namespace

void BatchCounts::add(const BatchCounts& other) {
  tokens += other.tokens;
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m) {
    weights[m] += other.weights[m];
    targets[m] += other.targets[m];
  }
  task_weights.resize(std::max(task_weights.size(), other.task_weights.size()));
  task_tokens.resize(task_weights.size());
  for (std::size_t t = 0; t < other.task_weights.size(); ++t) {
    task_weights[t] += other.task_weights[t];
    task_tokens[t] += other.task_tokens[t];
  }
}

PreparedBatch::PreparedBatch(BatchCounts counts, std::unique_ptr<const Arrays> arrays)
    : counts_(std::move(counts)), arrays_(std::move(arrays)) {}
PreparedBatch::PreparedBatch(PreparedBatch&&) noexcept = default;
PreparedBatch& PreparedBatch::operator=(PreparedBatch&&) noexcept = default;
PreparedBatch::~PreparedBatch() = default;
std::int64_t PreparedBatch::bytes() const { return arrays_->arena.bytes(); }

namespace {

std::vector<PreparedTokens::Features> prepared_features(const Transformer::Network& network,
                                                        const sequence::PackedSequence& sequence,
                                                        BatchArena& arena) {
  struct InputRows {
    std::vector<std::int64_t> positions;
    std::vector<float> values;
  };
  std::vector<InputRows> inputs(network.config.features.size());
  for (const sequence::FeatureRows& rows : sequence.features) {
    ensure(rows.input >= 0 && static_cast<std::size_t>(rows.input) < inputs.size(), "the model has no input ",
           rows.input, " of features");
    const auto width = static_cast<std::size_t>(network.config.features[rows.input].width);
    const auto count = static_cast<std::int64_t>(rows.values.size() / width);
    ensure(rows.values.size() % width == 0 && rows.first >= 0 && rows.first + count <= sequence.length(),
           rows.values.size(), " numbers from position ", rows.first, " on are no features of the width ",
           width);
    InputRows& own = inputs[rows.input];
    for (std::int64_t i = 0; i < count; ++i) own.positions.push_back(rows.first + i);
    own.values.insert(own.values.end(), rows.values.begin(), rows.values.end());
  }
  std::vector<PreparedTokens::Features> features;
  for (const InputRows& own : inputs) features.push_back({arena.add(own.positions), arena.add(own.values)});
  return features;
}

}  // namespace

PreparedTokens::PreparedTokens(const Transformer::Network& network, const sequence::PackedSequence& sequence,
                               BatchArena& arena) {
  struct CodeRows {
    std::vector<std::int64_t> positions, codes;
  };
  std::vector<CodeRows> coded(network.code_ranges.size());
  for (std::int64_t i = 0; i < sequence.length(); ++i) {
    const std::int32_t token = sequence.tokens[i];
    ensure(token >= 0 && token < network.vocabulary.size(), "token ", token,
           " is outside the model's vocabulary");
    for (std::size_t c = 0; c < coded.size(); ++c) {
      const sequence::TokenRange& range = network.code_ranges[c].range;
      if (!range.contains(token)) continue;
      coded[c].positions.push_back(i);
      coded[c].codes.push_back(token - range.first);
    }
  }
  tokens = arena.add(std::vector<std::int64_t>(sequence.tokens.begin(), sequence.tokens.end()));
  for (const CodeRows& own : coded) codes.push_back({arena.add(own.positions), arena.add(own.codes)});
  features = prepared_features(network, sequence, arena);
  if (!network.slots.defined()) return;
  std::vector<std::int64_t> rows, next;
  for (std::int64_t i = 0; i < sequence.length(); ++i)
    rows.push_back(network.slot_row(sequence.streams[i], sequence.slots[i]));
  for (std::int64_t d = 0; d < sequence.document_count(); ++d) {
    const std::int64_t last = sequence.document_starts[d + 1];
    for (std::int64_t i = sequence.document_starts[d]; i < last; ++i)
      next.push_back(i + 1 < last ? rows[i + 1] : network.no_slot());
  }
  slots = arena.add(rows);
  next_slots = arena.add(next);
}

EmbeddedTokens PreparedTokens::on(const Tensor& bytes, const Transformer::Network& network) const {
  EmbeddedTokens embedded{array_at(bytes, tokens), {}, {}, {}, {}};
  for (std::size_t i = 0; i < features.size(); ++i)
    embedded.features.push_back(
        {array_at(bytes, features[i].positions),
         array_at(bytes, features[i].values).view({-1, network.config.features[i].width})});
  for (std::size_t c = 0; c < codes.size(); ++c) {
    const auto& range = network.code_ranges[c];
    embedded.codes.push_back({range.codebook, range.projection, array_at(bytes, codes[c].positions),
                              array_at(bytes, codes[c].codes)});
  }
  if (!network.slots.defined()) return embedded;
  embedded.slots = array_at(bytes, slots);
  embedded.next_slots = array_at(bytes, next_slots);
  return embedded;
}

PlannedRows plan_sequence(const TransformerConfig& config, const sequence::PackedSequence& sequence,
                          BatchArena& arena) {
  std::vector<std::uint8_t> streams;
  for (const sequence::Modality stream : sequence.streams)
    streams.push_back(stream == sequence::Modality::text ? 0 : 1);
  return PlannedRows::plan(config,
                           {sequence.offsets, sequence.rows, sequence.columns, streams,
                            sequence.document_starts, bidirectional_ranges(config, sequence)},
                           arena);
}

PreparedBatch Transformer::prepare(const sequence::PackedSequence& given,
                                   const PrepareOptions& options) const {
  const Network& net = *network_;
  sequence::PackedSequence sequence = given;
  // Every block has rows to work on, even where there is nothing to learn: with sharded parameters all ranks
  // have to meet at each of them.
  sequence::pad_streams(sequence, kRowMultiple, /*every_stream=*/net.config.streams > 1);
  if (options.full_softmax) allow_everything(sequence, net.vocabulary.size());
  auto arrays = std::make_unique<PreparedBatch::Arrays>();
  arrays->length = given.length();
  arrays->task_count = options.task_count;
  arrays->tokens = PreparedTokens(net, sequence, arrays->arena);
  arrays->rows = plan_sequence(net.config, sequence, arrays->arena);
  write_groups(net, sequence, *arrays);
  arrays->arena.close(net.embedding.is_cuda());
  return {counts_of(given, options.task_count), std::move(arrays)};
}

}  // namespace omni::model
