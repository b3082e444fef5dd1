#include <ATen/core/grad_mode.h>

#include <cmath>
#include <vector>

#include "omni/optimizer/adamw.h"

namespace omni::optimizer {

double gradient_norm(const nn::ParameterStore& parameters) {
  std::vector<at::Tensor> norms;
  for (const nn::Parameter& parameter : parameters.all())
    if (parameter.value.grad().defined()) norms.push_back(at::linalg_vector_norm(parameter.value.grad()));
  if (norms.empty()) return 0;
  // Read together: each read waits for the device.
  const at::Tensor read = at::stack(norms).to(at::kCPU, at::kDouble);
  double squares = 0;
  for (std::int64_t i = 0; i < read.numel(); ++i) {
    const double norm = read.const_data_ptr<double>()[i];
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
