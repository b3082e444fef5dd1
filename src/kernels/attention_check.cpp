#include "omni/kernels/attention_check.h"

#include "attention_path.h"
#include "omni/core/error.h"

namespace omni::kernels {

void require_attention_kernel(std::int64_t head_size, at::ScalarType type, at::Device device) {
  const at::Tensor row = at::zeros({1, 1, head_size}, at::TensorOptions(type).device(device));
  if (const std::string refusal = kernel_refusal(row, row, row); !refusal.empty())
    fail(ErrorKind::usage, "attention: the kernel cannot run: ", refusal, ". Choose the path auto");
}

}  // namespace omni::kernels
