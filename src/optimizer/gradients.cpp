#include <ATen/core/grad_mode.h>

#include <cmath>

#include "omni/optimizer/adamw.h"

namespace omni::optimizer {

double gradient_norm(const nn::ParameterStore& parameters) {
  double squares = 0;
  for (const nn::Parameter& parameter : parameters.all()) {
    const at::Tensor& gradient = parameter.value.grad();
    if (!gradient.defined()) continue;
    const double norm = at::linalg_vector_norm(gradient).item<double>();
    squares += norm * norm;
  }
  return std::sqrt(squares);
}

double clip_gradients(nn::ParameterStore& parameters, double maximum_norm) {
  const double norm = gradient_norm(parameters);
  if (!std::isfinite(norm) || norm <= maximum_norm) return norm;
  const c10::NoGradGuard guard;
  for (const nn::Parameter& parameter : parameters.all())
    if (parameter.value.grad().defined()) parameter.value.grad().mul_(maximum_norm / norm);
  return norm;
}

}  // namespace omni::optimizer
