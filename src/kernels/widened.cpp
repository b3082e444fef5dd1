#include "omni/kernels/widened.h"

#include "cpu/instruction_set.h"

namespace omni::kernels {

bool is_widened(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kBFloat16 && instruction_set() < InstructionSet::avx512;
}

at::Tensor widened(const at::Tensor& x) { return is_widened(x) ? x.to(at::kFloat) : x; }

}  // namespace omni::kernels
