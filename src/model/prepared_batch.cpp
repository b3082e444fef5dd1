#include "omni/model/prepared_batch.h"

#include <algorithm>
#include <utility>

#include "loss_groups.h"
#include "omni/core/error.h"
#include "prepared_arrays.h"

namespace omni::model {
namespace {

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

// The rows of all groups while they are written.
struct WrittenRows {
  std::vector<std::int64_t> outputs, positions, modalities, tasks;
  std::vector<std::int32_t> targets;
  std::vector<float> weights;

  void add(std::int64_t output, std::int64_t position, std::int32_t target, float weight,
           std::int64_t modality, std::int64_t task) {
    outputs.push_back(output);
    positions.push_back(position);
    targets.push_back(target);
    weights.push_back(weight);
    modalities.push_back(modality);
    tasks.push_back(task);
  }
};

// The groups in the order in which they are laid out, and for how many rows each has room: those of the capacity, or
// as they come.
std::vector<std::pair<GroupRows, std::int64_t>> laid_out(const Transformer::Network& network,
                                                         std::vector<GroupRows> groups,
                                                         const BatchCapacity* capacity) {
  std::vector<std::pair<GroupRows, std::int64_t>> result;
  if (capacity == nullptr) {
    constexpr std::int64_t kMultiple = BatchCapacity::kRowMultiple;
    for (GroupRows& group : groups) {
      const auto count = static_cast<std::int64_t>(group.positions.size());
      result.emplace_back(std::move(group), (count + kMultiple - 1) / kMultiple * kMultiple);
    }
    return result;
  }
  for (const BatchCapacity::Group& room : capacity->groups) {
    const auto own = std::find_if(groups.begin(), groups.end(), [&](const GroupRows& group) {
      return group.modality == room.modality && group.allowed == room.allowed;
    });
    result.emplace_back(
        own != groups.end() ? std::move(*own) : GroupRows(network, room.modality, room.allowed), room.rows);
  }
  return result;
}

void write_groups(const Transformer::Network& network, const sequence::PackedSequence& sequence,
                  std::vector<GroupRows> groups, const BatchCapacity* capacity,
                  PreparedBatch::Arrays& arrays) {
  const std::vector<std::int64_t> row_of = output_rows(network.config, sequence),
                                  task_of = task_of_position(sequence, arrays.task_count);
  WrittenRows rows;
  for (auto& [group, room] : laid_out(network, std::move(groups), capacity)) {
    const std::size_t count = group.positions.size();
    for (std::size_t i = 0; i < count; ++i) {
      const std::int64_t position = group.positions[i];
      rows.add(row_of[position], position, group.targets[i], sequence.loss_weights[position],
               static_cast<std::int64_t>(group.modality), task_of[position]);
    }
    const std::int64_t output = count > 0 ? row_of[group.positions.front()] : 0;
    const std::int32_t target = count > 0 ? group.targets.front() : 0;
    for (auto i = static_cast<std::int64_t>(count); i < room; ++i)  // rows that weigh nothing
      rows.add(output, arrays.length, target, 0, -1, -1);
    arrays.groups.push_back({group.modality, room, std::move(group.runs)});
  }
  arrays.outputs = arrays.arena.add(rows.outputs);
  arrays.positions = arrays.arena.add(rows.positions);
  arrays.targets = arrays.arena.add(rows.targets);
  arrays.weights = arrays.arena.add(rows.weights);
  arrays.modalities = arrays.arena.add(rows.modalities);
  arrays.tasks = arrays.arena.add(rows.tasks);
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

PreparedBatch::PreparedBatch(BatchCounts counts, std::shared_ptr<const Arrays> arrays)
    : counts_(std::move(counts)), arrays_(std::move(arrays)) {}
PreparedBatch::PreparedBatch(PreparedBatch&&) noexcept = default;
PreparedBatch& PreparedBatch::operator=(PreparedBatch&&) noexcept = default;
PreparedBatch::~PreparedBatch() = default;
std::int64_t PreparedBatch::bytes() const { return arrays_->arena.bytes(); }
bool PreparedBatch::fills_capacity() const { return arrays_->fills_capacity; }

bool PreparedBatch::has_shape_of(const PreparedBatch& other) const {
  return arrays_->has_shape_of(*other.arrays_);
}

bool PreparedBatch::Arrays::has_shape_of(const Arrays& other) const {
  return length == other.length && task_count == other.task_count && groups == other.groups &&
         arena.places() == other.arena.places();
}

namespace {

// Positions from there on that weigh nothing, in turn.
void fill_positions(std::vector<std::int64_t>& positions, std::int64_t room, std::int64_t first,
                    std::int64_t last) {
  ensure(last > first || static_cast<std::int64_t>(positions.size()) >= room, "no position is to spare");
  for (std::int64_t next = first; static_cast<std::int64_t>(positions.size()) < room; ++next)
    positions.push_back(first + (next - first) % (last - first));
}

std::vector<PreparedTokens::Features> prepared_features(const Transformer::Network& network,
                                                        const sequence::PackedSequence& sequence,
                                                        BatchArena& arena, const TokenRoom& room) {
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
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    InputRows& own = inputs[i];
    if (room.capacity != nullptr) {
      fill_positions(own.positions, room.capacity->features[i], room.first_spare, sequence.length());
      own.values.resize(own.positions.size() * static_cast<std::size_t>(network.config.features[i].width));
    }
    features.push_back({arena.add(own.positions), arena.add(own.values)});
  }
  return features;
}

}  // namespace

PreparedTokens::PreparedTokens(const Transformer::Network& network, const sequence::PackedSequence& sequence,
                               BatchArena& arena, const TokenRoom& room)
    : fills_room(room.capacity != nullptr) {
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
  for (std::size_t c = 0; c < coded.size(); ++c) {
    CodeRows& own = coded[c];
    if (room.capacity != nullptr)
      fill_positions(own.positions, room.capacity->codes[c], room.first_spare, sequence.length());
    own.codes.resize(own.positions.size(), -1);  // nothing is added at positions that come again
    codes.push_back({arena.add(own.positions), arena.add(own.codes)});
  }
  features = prepared_features(network, sequence, arena, room);
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
                              array_at(bytes, codes[c].codes), /*all_there=*/!fills_room});
  }
  if (!network.slots.defined()) return embedded;
  embedded.slots = array_at(bytes, slots);
  embedded.next_slots = array_at(bytes, next_slots);
  return embedded;
}

PlannedRows plan_sequence(const TransformerConfig& config, const sequence::PackedSequence& sequence,
                          BatchArena& arena, bool fixed_shapes) {
  std::vector<std::uint8_t> streams;
  for (const sequence::Modality stream : sequence.streams)
    streams.push_back(stream == sequence::Modality::text ? 0 : 1);
  return PlannedRows::plan(config,
                           {sequence.offsets, sequence.rows, sequence.columns, streams,
                            sequence.document_starts, bidirectional_ranges(config, sequence), fixed_shapes},
                           arena);
}

namespace {

BatchCapacity needs_of(const Transformer::Network& net, const sequence::PackedSequence& sequence,
                       const std::vector<GroupRows>& groups) {
  BatchCapacity needs;
  needs.two_streams = net.config.streams > 1;
  const std::int64_t text = needs.two_streams ? sequence::text_positions(sequence) : sequence.length();
  needs.rows = {text, sequence.length() - text};
  for (const Transformer::Network::CodeRange& code : net.code_ranges)
    needs.codes.push_back(std::count_if(sequence.tokens.begin(), sequence.tokens.end(),
                                        [&](std::int32_t token) { return code.range.contains(token); }));
  needs.features.resize(net.config.features.size());
  for (const sequence::FeatureRows& rows : sequence.features) {
    const auto input = static_cast<std::size_t>(rows.input);
    ensure(input < needs.features.size(), "the model has no input ", rows.input, " of features");
    needs.features[input] += static_cast<std::int64_t>(rows.values.size()) / net.config.features[input].width;
  }
  for (const GroupRows& group : groups)
    needs.groups.push_back(
        {group.modality, group.allowed, static_cast<std::int64_t>(group.positions.size())});
  return needs;
}

}  // namespace

BatchCapacity Transformer::needs(const sequence::PackedSequence& given, const PrepareOptions& options) const {
  if (!options.full_softmax) return needs_of(*network_, given, loss_groups(*network_, given));
  sequence::PackedSequence sequence = given;
  allow_everything(sequence, network_->vocabulary.size());
  return needs_of(*network_, sequence, loss_groups(*network_, sequence));
}

PreparedBatch Transformer::prepare(const sequence::PackedSequence& given,
                                   const PrepareOptions& options) const {
  const Network& net = *network_;
  const BatchCapacity* capacity = options.capacity.get();
  sequence::PackedSequence sequence = given;
  if (options.full_softmax) allow_everything(sequence, net.vocabulary.size());
  std::vector<GroupRows> groups = loss_groups(net, sequence);  // what is appended below carries no loss
  if (capacity != nullptr && !capacity->lack_for(needs_of(net, sequence, groups)).empty()) capacity = nullptr;
  // Every block has rows to work on, even where there is nothing to learn: with sharded parameters all ranks
  // have to meet at each of them.
  if (capacity == nullptr) {
    sequence::pad_streams(sequence, BatchCapacity::kRowMultiple, /*every_stream=*/net.config.streams > 1);
  } else if (capacity->two_streams) {
    sequence::fill_streams(sequence, capacity->rows[0], capacity->rows[1]);
  } else {
    const std::int64_t generated = given.length() - sequence::text_positions(given);
    sequence::fill_streams(sequence, capacity->rows[0] - generated, generated);
  }
  auto arrays = std::make_shared<PreparedBatch::Arrays>();
  arrays->fills_capacity = capacity != nullptr;
  arrays->length = capacity != nullptr ? sequence.length() : given.length();
  arrays->task_count = options.task_count;
  arrays->tokens = PreparedTokens(net, sequence, arrays->arena, {capacity, given.length()});
  arrays->rows = plan_sequence(net.config, sequence, arrays->arena, /*fixed_shapes=*/capacity != nullptr);
  write_groups(net, sequence, std::move(groups), capacity, *arrays);
  arrays->arena.close(net.embedding.is_cuda());
  return {counts_of(given, options.task_count), std::move(arrays)};
}

}  // namespace omni::model
