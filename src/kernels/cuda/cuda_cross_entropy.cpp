#include "cuda_cross_entropy.h"

#include "cuda_launch.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {

void cuda_cross_entropy(const CudaCrossEntropy& rows) {
  const ProfiledRange profiled("omni::cross_entropy");
  OmniCudaCrossEntropy a{};
  a.logits = rows.logits.mutable_data_ptr();
  a.targets = rows.targets.const_data_ptr<std::int32_t>();
  a.weights = rows.weights.const_data_ptr<float>();
  a.losses = rows.losses.mutable_data_ptr<float>();
  a.log_sums = rows.log_sums.mutable_data_ptr<float>();
  a.correct = rows.correct.mutable_data_ptr<std::uint8_t>();
  a.rows = rows.logits.size(0);
  a.columns = rows.logits.size(1);
  a.z_loss = static_cast<float>(rows.z_loss);
  a.type = cuda_type(rows.logits);
  launch_cuda(rows.logits, "cross-entropy", cuda_plugin().training.cross_entropy, a);
}

}  // namespace omni::kernels
