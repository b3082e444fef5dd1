#include <ATen/core/grad_mode.h>

#include <map>
#include <utility>

#include "omni/core/error.h"
#include "omni/kernels/cross_entropy.h"
#include "omni/model/decode_session.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

// Positions that share one set of allowed tokens and one target modality: one matmul.
struct LossGroup {
  std::int32_t allowed = 0;
  std::size_t modality = 0;
  std::vector<std::int64_t> positions;
  std::vector<std::int32_t> targets;  // indices into the allowed set
  std::vector<float> weights;
  std::int64_t padding = 0;  // of the entries above, at their end: repetitions without weight
};

// The CPU's matrix library compiles a kernel for each shape that it meets, which takes longer than to run it:
// row counts are rounded up to a multiple, so that a run meets few shapes.
constexpr std::int64_t kRowMultiple = 128;

// Every token of the vocabulary at every position.
void allow_everything(sequence::PackedSequence& sequence, std::int32_t vocabulary_size) {
  sequence::AllowedTokens all;
  all.add(0, vocabulary_size);
  sequence.allowed_sets = {all};
  for (std::int32_t& allowed : sequence.allowed) allowed = allowed < 0 ? allowed : 0;
}

std::vector<LossGroup> loss_groups(const sequence::PackedSequence& sequence) {
  std::map<std::pair<std::int32_t, std::size_t>, LossGroup> groups;
  for (std::int64_t i = 0; i < sequence.length(); ++i) {
    if (sequence.loss_weights[i] <= 0) continue;
    const auto modality = static_cast<std::size_t>(sequence.target_modalities[i]);
    const std::int32_t allowed = sequence.allowed[i];
    ensure(allowed >= 0 && modality < sequence::kModalityCount, "a loss at the end of a document");
    LossGroup& group = groups[{allowed, modality}];
    group.allowed = allowed;
    group.modality = modality;
    const std::int32_t target = sequence.allowed_sets[allowed].index_of(sequence.targets[i]);
    ensure(target >= 0, "target ", sequence.targets[i], " is not allowed by the grammar at position ", i);
    group.positions.push_back(i);
    group.targets.push_back(target);
    group.weights.push_back(sequence.loss_weights[i]);
  }
  std::vector<LossGroup> result;
  for (auto& [key, group] : groups) {
    for (; static_cast<std::int64_t>(group.positions.size()) % kRowMultiple != 0; ++group.padding) {
      group.positions.push_back(group.positions.front());
      group.targets.push_back(group.targets.front());
      group.weights.push_back(0);
    }
    result.push_back(std::move(group));
  }
  return result;
}

// Document positions -> rows of the network's output.
std::vector<std::int64_t> output_row_of_position(const RowPlan& plan, std::int64_t count) {
  std::vector<std::int64_t> rows(count, -1);
  if (!plan.output_rows.defined()) {
    for (std::int64_t i = 0; i < count; ++i) rows[i] = i;
    return rows;
  }
  const Tensor positions = plan.output_rows.cpu();
  const auto* position = positions.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < positions.numel(); ++i) rows[position[i]] = i;
  return rows;
}

// Hidden rows of every group's positions, one tensor per group.
std::vector<Tensor> group_rows(const Tensor& hidden, const std::vector<LossGroup>& groups,
                               const RowPlan& plan, std::int64_t count) {
  const std::vector<std::int64_t> row_of = output_row_of_position(plan, count);
  std::vector<std::int64_t> order, sizes;
  for (const LossGroup& group : groups) {
    sizes.push_back(static_cast<std::int64_t>(group.positions.size()));
    for (const std::int64_t position : group.positions) {
      if (row_of[position] < 0)
        fail(ErrorKind::usage,
             "training: a text position carries loss, but single_over: generated leaves text without output");
      order.push_back(row_of[position]);
    }
  }
  return hidden.index_select(0, index_tensor(order).to(hidden.device())).split_with_sizes(sizes);
}

// The output rows of every group's allowed tokens. One gather serves all groups, so that the gradient of the
// table is formed once.
std::vector<Tensor> allowed_rows(const Tensor& table, const std::vector<LossGroup>& groups,
                                 const sequence::PackedSequence& sequence) {
  std::vector<std::int64_t> order, sizes;
  for (const LossGroup& group : groups) {
    const sequence::AllowedTokens& allowed = sequence.allowed_sets[group.allowed];
    sizes.push_back(allowed.count());
    for (int r = 0; r < allowed.run_count; ++r)
      for (std::int32_t i = 0; i < allowed.runs[r].size; ++i) order.push_back(allowed.runs[r].first + i);
  }
  return table.index_select(0, index_tensor(order).to(table.device())).split_with_sizes(sizes);
}

template <class T>
Tensor tensor_of(const std::vector<T>& values, at::ScalarType type, at::Device device) {
  Tensor tensor = at::empty({static_cast<std::int64_t>(values.size())}, type);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<T>());
  return tensor.to(device);
}

}  // namespace

TransformerLoss Transformer::loss(const sequence::PackedSequence& given, const LossOptions& options) const {
  const Network& net = *network_;
  sequence::PackedSequence sequence = given;
  sequence::pad_streams(sequence, kRowMultiple);
  if (options.full_softmax) allow_everything(sequence, net.vocabulary.size());
  const PackedRows rows = packed_rows(net, sequence);
  const RowPlan plan = packed_plan(net, sequence, rows);
  const Tensor token_rows = net.token_rows();
  RowPass pass;
  if (options.training) pass.dropout_seed = options.dropout_seed;
  const Tensor hidden = net.run(net.embed(token_rows, rows.tokens, rows.slots, rows.next_slots), plan, pass);
  const auto device = hidden.device();

  TransformerLoss result;
  result.position_cross_entropy = at::zeros({given.length()}, at::kFloat);
  float* position_loss = result.position_cross_entropy.mutable_data_ptr<float>();
  const std::vector<LossGroup> groups = loss_groups(sequence);
  std::array<std::vector<Tensor>, sequence::kModalityCount> sums;
  std::array<double, sequence::kModalityCount> entropies{};
  if (!groups.empty()) {
    const std::vector<Tensor> hidden_of = group_rows(hidden, groups, plan, sequence.length());
    const std::vector<Tensor> rows_of = allowed_rows(net.head_rows(token_rows), groups, sequence);
    for (std::size_t g = 0; g < groups.size(); ++g) {
      const LossGroup& group = groups[g];
      const auto one =
          kernels::row_cross_entropy(hidden_of[g], rows_of[g], tensor_of(group.targets, at::kInt, device),
                                     tensor_of(group.weights, at::kFloat, device), options.z_loss);
      sums[group.modality].push_back(one.objective);
      const Tensor losses = one.losses.cpu();
      const auto* loss = losses.const_data_ptr<float>();
      const auto count = static_cast<std::int64_t>(group.positions.size()) - group.padding;
      for (std::int64_t i = 0; i < count; ++i) {
        position_loss[group.positions[i]] = loss[i];
        entropies[group.modality] += static_cast<double>(group.weights[i]) * loss[i];
        result.weights[group.modality] += group.weights[i];
      }
      result.targets[group.modality] += count;
      result.correct[group.modality] += one.correct.narrow(0, 0, count).sum().item<std::int64_t>();
    }
  }
  std::vector<Tensor> objectives;
  result.cross_entropy = at::empty({static_cast<std::int64_t>(sequence::kModalityCount)}, at::kFloat);
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m) {
    objectives.push_back(sums[m].empty() ? at::zeros({}, hidden.options().dtype(at::kFloat))
                                         : at::stack(sums[m]).sum());
    result.cross_entropy.mutable_data_ptr<float>()[m] = static_cast<float>(entropies[m]);
  }
  result.objective = at::stack(objectives);
  return result;
}

Tensor Transformer::logits(const sequence::PackedSequence& sequence) const {
  const c10::NoGradGuard guard;
  const Network& net = *network_;
  const PackedRows rows = packed_rows(net, sequence);
  const RowPlan plan = packed_plan(net, sequence, rows);
  const Tensor token_rows = net.token_rows();
  const Tensor hidden = net.run(net.embed(token_rows, rows.tokens, rows.slots, rows.next_slots), plan);
  const Tensor out = at::mm(hidden.to(at::kFloat), net.head_rows(token_rows).t());
  if (!plan.output_rows.defined()) return out;
  return at::zeros({sequence.length(), out.size(1)}, out.options()).index_copy(0, plan.output_rows, out);
}

}  // namespace omni::model
