#include "stage_validation.h"

#include <ATen/core/grad_mode.h>

#include "omni/core/text_format.h"

namespace omni::training {

StageValidation::StageValidation(const StageConfig& config, const StageData& data)
    : data_(data),
      batches_(config.validation_batches),
      modality_weights_{config.text_loss_weight, config.image_loss_weight, config.shape_loss_weight} {}

ValidationLosses StageValidation::measure(const model::Transformer& transformer,
                                          distributed::Collectives& collectives, at::Device device) const {
  const c10::NoGradGuard no_grad;
  const auto& tasks = data_.source().tasks();
  const auto task_count = static_cast<std::int64_t>(tasks.size());
  constexpr auto kModalities = static_cast<std::int64_t>(sequence::kModalityCount);
  // Loss weights by modality and by task, then what the losses of all batches add up to.
  at::Tensor weights = at::zeros({kModalities + task_count}, at::kDouble);
  at::Tensor losses =
      at::zeros({2 * kModalities + task_count}, at::TensorOptions(at::kDouble).device(device));
  for (std::int64_t i = collectives.rank(); i < batches_; i += collectives.size()) {
    const model::PreparedBatch batch =
        transformer.prepare(data_.validation_batch(i), data_.prepare_options());
    losses += transformer.loss(batch, {.training = false}).sums;
    double* weight = weights.mutable_data_ptr<double>();
    for (const double of_modality : batch.counts().weights) *weight++ += of_modality;
    for (const double of_task : batch.counts().task_weights) *weight++ += of_task;
  }
  const at::Tensor numbers = at::cat({weights.to(device), losses});
  collectives.all_reduce(numbers).wait();
  const at::Tensor read = numbers.cpu();
  const double* weight = read.const_data_ptr<double>();
  const model::LossSums sums = model::LossSums::read(read.narrow(0, weights.size(0), losses.size(0)));

  ValidationLosses result;
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m) {
    if (weight[m] <= 0) continue;
    const double loss = sums.cross_entropy[m] / weight[m];
    result.loss += modality_weights_[m] * loss;
    result.numbers.emplace_back(
        concat("validation_loss_", sequence::modality_name(static_cast<sequence::Modality>(m))), loss);
  }
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    const double of_task = weight[sequence::kModalityCount + t];
    if (of_task > 0)
      result.numbers.emplace_back(concat("validation_loss ", tasks[t].name),
                                  sums.task_cross_entropy[t] / of_task);
  }
  return result;
}

}  // namespace omni::training
