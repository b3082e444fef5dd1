#include "omni/optimizer/gradients.h"

#include <ATen/core/grad_mode.h>

#include <vector>

#include "omni/core/error.h"

namespace omni::optimizer {

GradientMeasure measure_gradients(const nn::ParameterStore& parameters, double maximum_norm) {
  ensure(parameters.sealed(), "gradients are measured of a store that is not sealed");
  const c10::NoGradGuard guard;
  std::vector<at::Tensor> norms;
  for (const nn::ParameterUnit& unit : parameters.units())
    if (unit.gradients.defined()) norms.push_back(at::linalg_vector_norm(unit.gradients));
  if (norms.empty()) return {at::zeros({}, at::kFloat), {}, {}};
  GradientMeasure measure;
  measure.norm = at::stack(norms).to(at::kDouble).square().sum().sqrt().to(at::kFloat);
  if (maximum_norm > 0) measure.divisor = (measure.norm / maximum_norm).clamp_min(1);
  measure.skipped = at::isfinite(measure.norm).logical_not().to(at::kFloat);
  return measure;
}

}  // namespace omni::optimizer
