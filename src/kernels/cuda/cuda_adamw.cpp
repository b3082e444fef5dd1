#include "omni/kernels/cuda_adamw.h"

#include "cuda_launch.h"

namespace omni::kernels {

using at::Tensor;

void cuda_adamw(const CudaAdamW& update) {
  const Tensor& masters = update.masters;
  ensure(takes_fused_kernel(masters, KernelPath::fused, "adamw"), "the fused kernel adamw is for GPUs");
  for (const Tensor* x : {&masters, &update.gradients, &update.first_moment, &update.second_moment})
    ensure(x->scalar_type() == at::kFloat && x->is_contiguous() && x->numel() == masters.numel() &&
               x->device() == masters.device(),
           "AdamW: parameters, gradients and moments differ in size, type or device");
  ensure(!update.values.defined() ||
             (update.values.scalar_type() == at::kBFloat16 && update.values.is_contiguous() &&
              update.values.numel() == masters.numel() && update.values.device() == masters.device()),
         "AdamW: values are bf16, one for each parameter");
  OmniCudaAdamW a{};
  a.masters = masters.mutable_data_ptr<float>();
  a.first_moment = update.first_moment.mutable_data_ptr<float>();
  a.second_moment = update.second_moment.mutable_data_ptr<float>();
  a.gradients = update.gradients.const_data_ptr<float>();
  a.values = update.values.defined() ? update.values.mutable_data_ptr() : nullptr;
  a.steps = update.steps.const_data_ptr<float>();
  a.divisor = floats_or_null(update.divisor);
  a.skipped = floats_or_null(update.skipped);
  a.count = masters.numel();
  a.learning_rate = update.learning_rate;
  a.beta1 = update.beta1;
  a.beta2 = update.beta2;
  a.weight_decay = update.weight_decay;
  a.epsilon = update.epsilon;
  launch_cuda(masters, "AdamW", cuda_plugin().training.adamw, a);
}

}  // namespace omni::kernels
