#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "omni/model/pass_inputs.h"
#include "prepared_arrays.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

constexpr auto kModalities = static_cast<std::int64_t>(sequence::kModalityCount);

// What became of the rows of all groups.
struct GroupLosses {
  std::vector<Tensor> objectives;  // of each group, with graph
  Tensor losses, correct;          // of each row, fp32 and bool
};

// Sums of values [n] fp64 by label -> [count] fp64. A label outside leaves its value out. In a fixed order,
// which adding to places by index would not have on a GPU.
Tensor sums_by_label(const Tensor& values, const Tensor& labels, std::int64_t count) {
  const Tensor own = labels.unsqueeze(0) == at::arange(count, labels.options()).unsqueeze(1);
  return at::where(own, values.unsqueeze(0), at::zeros({}, values.options())).sum(1);
}

GroupLosses group_losses(const Transformer::Network& net, const Tensor& hidden,
                         const PreparedBatch::Arrays& arrays, const PassInputs::OnDevice& places,
                         const LossOptions& options) {
  const Tensor& bytes = places.bytes;
  const auto weighted = [&](const Tensor& weights, std::size_t modality) {
    if (!places.modality_weights.defined()) return weights * options.modality_weights[modality];
    return weights * places.modality_weights[static_cast<std::int64_t>(modality)];
  };
  const Tensor rows = hidden.index_select(0, array_at(bytes, arrays.outputs)),
               targets = array_at(bytes, arrays.targets), weights = array_at(bytes, arrays.weights);
  const kernels::ClassTable classes = net.output_classes();
  GroupLosses result;
  std::vector<Tensor> losses, correct;
  std::int64_t first = 0;
  for (const LossGroup& group : arrays.groups) {
    const auto own = [&](const Tensor& all) { return all.narrow(0, first, group.rows); };
    const kernels::RowCrossEntropy one = kernels::row_cross_entropy(
        own(rows), classes, group.runs, own(targets), weighted(own(weights), group.modality), options.z_loss,
        net.fused.path(kernels::FusedKernel::cross_entropy));
    result.objectives.push_back(one.objective);
    losses.push_back(one.losses);
    correct.push_back(one.correct);
    first += group.rows;
  }
  result.losses = at::concat(losses);
  result.correct = at::concat(correct);
  return result;
}

Tensor sums_of(const GroupLosses& groups, const PreparedBatch::Arrays& arrays, const Tensor& bytes) {
  const Tensor modalities = array_at(bytes, arrays.modalities), tasks = array_at(bytes, arrays.tasks);
  const Tensor entropies = array_at(bytes, arrays.weights).to(at::kDouble) * groups.losses.to(at::kDouble);
  return at::concat({sums_by_label(entropies, modalities, kModalities),
                     sums_by_label(groups.correct.to(at::kDouble), modalities, kModalities),
                     sums_by_label(entropies, tasks, arrays.task_count)});
}

// Weights and keys that are not at their places are those of the options.
TransformerLoss loss_of(const Transformer::Network& net, const PreparedBatch::Arrays& arrays,
                        const PassInputs::OnDevice& places, kernels::AttentionPath path,
                        const LossOptions& options) {
  const Tensor& bytes = places.bytes;
  RowPass pass;
  pass.dropout_keys = places.dropout_keys;
  if (options.training) pass.dropout_seed = options.dropout_seed;
  const Tensor hidden = net.run(net.embed(net.embedding, arrays.tokens.on(bytes, net)),
                                arrays.rows.on(bytes, net.config, path), pass);
  const auto wide = hidden.options().dtype(at::kFloat);
  TransformerLoss result;
  result.position_cross_entropy = at::zeros({arrays.length + 1}, wide);
  // A batch without losses has gradients, too: zeros.
  std::vector<Tensor> objectives(sequence::kModalityCount, hidden.narrow(0, 0, 0).sum(at::kFloat));
  if (!arrays.groups.empty()) {
    const GroupLosses groups = group_losses(net, hidden, arrays, places, options);
    for (std::size_t g = 0; g < arrays.groups.size(); ++g) {
      Tensor& objective = objectives[arrays.groups[g].modality];
      objective = objective + groups.objectives[g];
    }
    result.sums = sums_of(groups, arrays, bytes);
    result.position_cross_entropy.index_copy_(0, array_at(bytes, arrays.positions), groups.losses);
  } else {
    result.sums = at::zeros({2 * kModalities + arrays.task_count}, wide.dtype(at::kDouble));
  }
  result.position_cross_entropy = result.position_cross_entropy.narrow(0, 0, arrays.length);
  result.objective = at::stack(objectives);
  return result;
}

}  // namespace

LossSums LossSums::read(const Tensor& sums) {
  const Tensor here = sums.cpu();
  const double* values = here.const_data_ptr<double>();
  LossSums result;
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m) {
    result.cross_entropy[m] = values[m];
    result.correct[m] = static_cast<std::int64_t>(values[sequence::kModalityCount + m]);
  }
  result.task_cross_entropy.assign(values + 2 * kModalities, values + here.numel());
  return result;
}

TransformerLoss Transformer::loss(const PreparedBatch& batch, const LossOptions& options) const {
  const PreparedBatch::Arrays& arrays = batch.arrays();
  return loss_of(*network_, arrays, {arrays.arena.on(network_->embedding.device()), {}, {}},
                 network_->attention_path, options);
}

TransformerLoss Transformer::loss(const PassInputs& inputs, const LossOptions& options) const {
  return loss_of(*network_, inputs.arrays(), inputs.on_device(), kernels::AttentionPath::kernel, options);
}

Tensor Transformer::logits(const sequence::PackedSequence& sequence) const {
  const c10::NoGradGuard guard;
  const Network& net = *network_;
  BatchArena arena;
  const PreparedTokens tokens(net, sequence, arena);
  const PlannedRows rows = plan_sequence(net.config, sequence, arena);
  arena.close(/*pinned=*/false);
  const Tensor bytes = arena.on(net.embedding.device());
  const RowPlan plan = rows.on(bytes, net.config, net.attention_path);
  const Tensor hidden = net.run(net.embed(net.embedding, tokens.on(bytes, net)), plan);
  const Tensor out = at::mm(hidden.to(at::kFloat), net.head_rows(net.token_rows()).t());
  if (!plan.output_rows.defined()) return out;
  return at::zeros({sequence.length(), out.size(1)}, out.options()).index_copy(0, plan.output_rows, out);
}

}  // namespace omni::model
