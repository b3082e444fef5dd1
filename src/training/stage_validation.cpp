#include "stage_validation.h"

#include <ATen/core/grad_mode.h>

#include "omni/core/error.h"
#include "step_sums.h"

namespace omni::training {

ValidationLosses StageValidation::measure(const model::Transformer& transformer,
                                          distributed::Collectives& collectives, at::Device device) const {
  const c10::NoGradGuard no_grad;
  const auto& tasks = data_.source().tasks();
  StepSums own;
  for (std::int64_t i = collectives.rank(); i < batches_; i += collectives.size()) {
    const model::PreparedBatch batch =
        transformer.prepare(data_.validation_batch(i), data_.prepare_options());
    own.counts.add(batch.counts());
    own.add_losses(transformer.loss(batch, {.training = false}).sums);
  }
  const at::Tensor row = own.row(tasks.size()).to(device);
  collectives.all_reduce(row).wait();
  const MeanLosses means = mean_losses(StepSums::from_row(row.cpu(), tasks.size()), modality_weights_);

  ValidationLosses result{.loss = means.loss, .numbers = {}};
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m)
    if (means.modalities[m])
      result.numbers.emplace_back(
          concat("validation_loss_", sequence::modality_name(static_cast<sequence::Modality>(m))),
          means.modalities[m]->loss);
  for (std::size_t t = 0; t < tasks.size(); ++t)
    if (means.tasks[t])
      result.numbers.emplace_back(concat("validation_loss ", tasks[t].name), *means.tasks[t]);
  return result;
}

}  // namespace omni::training
