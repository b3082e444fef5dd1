#include "stage_validation.h"

#include <ATen/core/grad_mode.h>

#include "omni/core/error.h"
#include "step_sums.h"

namespace omni::training {

ValidationLosses StageValidation::measure(const model::Transformer& transformer,
                                          distributed::Collectives& collectives, at::Device device,
                                          FullSharding* sharding) const {
  const c10::NoGradGuard no_grad;
  const auto& tasks = source_.tasks();
  StepSums own;
  const std::int64_t most = (batches_ + collectives.size() - 1) / collectives.size();  // on a rank
  if (sharding != nullptr) sharding->begin(most, FullSharding::Passes::forward);
  for (std::int64_t i = collectives.rank(); i < batches_; i += collectives.size()) {
    const model::PreparedBatch batch =
        transformer.prepare(data_.measured_batch(source_, i), data_.prepare_options(source_));
    own.counts.add(batch.counts());
    own.add_losses(transformer.loss(batch, {.training = false}).sums);
  }
  if (sharding != nullptr) sharding->finish();
  const at::Tensor row = own.row(tasks.size()).to(device);
  collectives.all_reduce(row).wait();
  const MeanLosses means = mean_losses(StepSums::from_row(row.cpu(), tasks.size()), modality_weights_);

  ValidationLosses result{.loss = means.loss, .modalities = {}, .tasks = {}};
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m)
    if (means.modalities[m])
      result.modalities.emplace_back(sequence::modality_name(static_cast<sequence::Modality>(m)),
                                     means.modalities[m]->loss);
  for (std::size_t t = 0; t < tasks.size(); ++t)
    if (means.tasks[t]) result.tasks.emplace_back(tasks[t].name, *means.tasks[t]);
  return result;
}

ValidationLosses::Named ValidationLosses::numbers(const std::string& prefix) const {
  Named all;
  for (const auto& [name, loss] : modalities) all.emplace_back(concat(prefix, "loss_", name), loss);
  for (const auto& [name, loss] : tasks) all.emplace_back(concat(prefix, "loss ", name), loss);
  return all;
}

}  // namespace omni::training
