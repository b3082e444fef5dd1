#include "step_sums.h"

#include "omni/core/error.h"

namespace omni::training {
namespace {

// Of a row's numbers, those that come before the losses, and the losses.
std::int64_t counted(std::size_t tasks) {
  return static_cast<std::int64_t>(1 + 2 * sequence::kModalityCount + 2 * tasks);
}
std::int64_t computed(std::size_t tasks) {
  return static_cast<std::int64_t>(2 * sequence::kModalityCount + tasks);
}

}  // namespace

void StepSums::add(const StepSums& other) {
  counts.add(other.counts);
  if (other.losses.defined()) add_losses(other.losses);
}

void StepSums::add_losses(const at::Tensor& others) { losses = losses.defined() ? losses + others : others; }

std::vector<std::string> sum_names(const std::vector<std::string>& task_names) {
  std::vector<std::string> names = {"tokens"};
  const auto add = [&](const char* what) {
    for (const sequence::Modality modality : sequence::kModalities)
      names.push_back(concat(what, ".", sequence::modality_name(modality)));
  };
  const auto add_tasks = [&](const char* what) {
    for (const std::string& task : task_names) names.push_back(concat(what, ".", task));
  };
  add("weight");
  add("targets");
  add_tasks("task_weight");
  add_tasks("task_tokens");
  add("cross_entropy");
  add("correct");
  add_tasks("task_cross_entropy");
  return names;
}

at::Tensor StepSums::row(std::size_t tasks) const {
  at::Tensor row = at::zeros({counted(tasks) + computed(tasks)}, at::kDouble);
  double* number = row.mutable_data_ptr<double>();
  *number++ = static_cast<double>(counts.tokens);
  for (const double weight : counts.weights) *number++ = weight;
  for (const std::int64_t targets : counts.targets) *number++ = static_cast<double>(targets);
  for (std::size_t t = 0; t < counts.task_weights.size(); ++t) {
    number[t] = counts.task_weights[t];
    number[tasks + t] = static_cast<double>(counts.task_tokens[t]);
  }
  if (losses.defined()) row.narrow(0, counted(tasks), losses.size(0)).copy_(losses);
  return row;
}

StepSums StepSums::from_row(const at::Tensor& row, std::size_t tasks) {
  StepSums sums;
  const double* number = row.const_data_ptr<double>();
  sums.counts.tokens = static_cast<std::int64_t>(*number++);
  for (double& weight : sums.counts.weights) weight = *number++;
  for (std::int64_t& targets : sums.counts.targets) targets = static_cast<std::int64_t>(*number++);
  sums.counts.task_weights.assign(number, number + tasks);
  sums.counts.task_tokens.assign(number + tasks, number + 2 * tasks);
  sums.losses = row.narrow(0, counted(tasks), computed(tasks)).clone();
  return sums;
}

MeanLosses mean_losses(const StepSums& sums,
                       const std::array<double, sequence::kModalityCount>& modality_weights) {
  const model::LossSums losses = model::LossSums::read(sums.losses);
  const model::BatchCounts& counts = sums.counts;
  MeanLosses means;
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m) {
    if (counts.targets[m] == 0) continue;
    const double loss = losses.cross_entropy[m] / counts.weights[m];
    means.loss += modality_weights[m] * loss;
    means.modalities[m] = {loss,
                           static_cast<double>(losses.correct[m]) / static_cast<double>(counts.targets[m])};
  }
  means.tasks.resize(counts.task_weights.size());
  for (std::size_t t = 0; t < means.tasks.size(); ++t)
    if (counts.task_weights[t] > 0) means.tasks[t] = losses.task_cross_entropy[t] / counts.task_weights[t];
  return means;
}

}  // namespace omni::training
