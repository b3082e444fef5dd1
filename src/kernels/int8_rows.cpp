#include "int8_rows.h"

#include <limits>

#include "omni/core/error.h"

namespace omni::kernels {

using at::Tensor;

Int8Rows int8_rows(const Tensor& weight) {
  const Tensor wide = weight.detach().to(at::kFloat), peak = wide.abs().amax(1);
  if (!peak.isfinite().all().item<bool>())
    fail(ErrorKind::usage,
         "packing a weight as int8: it is not finite. Keep it as bf16 or look for the defect");
  Int8Rows rows;
  rows.scales = peak.div(127.0).clamp_min(std::numeric_limits<float>::min());
  rows.values = wide.div(rows.scales.unsqueeze(1)).round().clamp(-127, 127).to(at::kChar);
  rows.sums = rows.values.sum(1, false, at::kInt);
  return rows;
}

}  // namespace omni::kernels
