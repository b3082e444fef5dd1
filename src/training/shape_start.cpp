#include "shape_start.h"

#include <ATen/core/grad_mode.h>

namespace omni::training {

void copy_parameters(const nn::ParameterStore& from, nn::ParameterStore& to) {
  const c10::NoGradGuard no_grad;
  for (const nn::Parameter& parameter : to.all()) {
    const nn::Parameter* given = from.find(parameter.name);
    at::Tensor target = parameter.value;
    if (given != nullptr && given->value.sizes() == target.sizes()) target.copy_(given->value);
  }
}

}  // namespace omni::training
