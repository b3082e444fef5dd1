#include "omni/optimizer/gradients.h"

#include <ATen/core/grad_mode.h>

#include <vector>

#include "omni/core/error.h"

namespace omni::optimizer {
namespace {

// One tensor a unit where this rank owns all of it: few calls.
void add_norms(const nn::ParameterUnit& unit, std::vector<at::Tensor>& norms) {
  if (!unit.is_sharded()) {
    norms.push_back(at::linalg_vector_norm(unit.gradients));
    return;
  }
  for (const nn::ParameterSection& section : unit.sections)
    norms.push_back(at::linalg_vector_norm(section.owned_gradients()));
}

}  // namespace

GradientMeasure measure_gradients(const nn::ParameterStore& parameters, double maximum_norm,
                                  const SumOverRanks& sum) {
  ensure(parameters.sealed(), "gradients are measured of a store that is not sealed");
  const c10::NoGradGuard guard;
  std::vector<at::Tensor> norms;
  for (const nn::ParameterUnit& unit : parameters.units())
    if (!unit.sections.empty()) add_norms(unit, norms);
  if (norms.empty()) return {at::zeros({}, at::kFloat), {}, {}};
  const at::Tensor squares = at::stack(norms).to(at::kDouble).square().sum();
  if (sum) sum(squares);
  GradientMeasure measure;
  measure.norm = squares.sqrt().to(at::kFloat);
  if (maximum_norm > 0) measure.divisor = (measure.norm / maximum_norm).clamp_min(1);
  measure.skipped = at::isfinite(measure.norm).logical_not().to(at::kFloat);
  return measure;
}

}  // namespace omni::optimizer
