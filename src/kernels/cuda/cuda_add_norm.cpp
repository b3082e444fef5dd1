#include "cuda_add_norm.h"

#include <ATen/core/grad_mode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "omni/core/error.h"
#include "plugin_functions.h"

namespace omni::kernels {

using at::Tensor;

std::optional<std::pair<Tensor, Tensor>> cuda_add_norm(const Tensor& residual, const Tensor& delta,
                                                       const Tensor& weight, const NormOptions& options) {
  const bool bf16 = options.output_type == at::kBFloat16;
  const bool usable =
      residual.is_cuda() && (bf16 || options.output_type == at::kFloat) && cuda_plugin().status.loaded;
  if (!usable || at::GradMode::is_enabled()) return std::nullopt;
  const Tensor rows = residual.contiguous(), added = delta.defined() ? delta.contiguous() : Tensor();
  Tensor sum = added.defined() ? at::empty_like(rows) : rows;
  Tensor output = at::empty(rows.sizes(), rows.options().dtype(options.output_type));
  OmniCudaAddNorm arguments{};
  arguments.residual = rows.const_data_ptr<float>();
  arguments.delta = added.defined() ? added.const_data_ptr() : nullptr;
  arguments.weight = weight.defined() ? weight.const_data_ptr<float>() : nullptr;
  arguments.sum = added.defined() ? sum.mutable_data_ptr<float>() : nullptr;
  arguments.output = output.mutable_data_ptr();
  arguments.rows = rows.size(0);
  arguments.width = rows.size(1);
  arguments.epsilon = static_cast<float>(options.epsilon);
  arguments.centred = options.kind == NormKind::layer ? 1 : 0;
  arguments.type = bf16 ? kOmniCudaBfloat16 : kOmniCudaFloat;
  const c10::impl::VirtualGuardImpl guard(rows.device().type());
  const std::int32_t status =
      cuda_plugin().add_norm(&arguments, guard.getStreamNativeHandle(guard.getStream(rows.device())));
  ensure(status == 0, "the GPU norm kernel failed with CUDA error ", status);
  return std::pair(sum, output);
}

}  // namespace omni::kernels
