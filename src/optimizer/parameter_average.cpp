#include <ATen/core/grad_mode.h>

#include "omni/core/error.h"
#include "omni/optimizer/parameter_average.h"

namespace omni::optimizer {

ParameterAverage::ParameterAverage(const nn::ParameterStore& parameters, double decay) : decay_(decay) {
  for (const nn::Parameter& parameter : parameters.all())
    if (parameter.trainable) averages_.emplace_back(parameter.name, parameter.master.clone());
}

void ParameterAverage::update(const nn::ParameterStore& parameters) {
  const c10::NoGradGuard guard;
  for (auto& [name, average] : averages_) {
    const nn::Parameter* parameter = parameters.find(name);
    ensure(parameter != nullptr, "averaged parameter '", name, "' is gone");
    average.lerp_(parameter->master, 1 - decay_);
  }
}

void ParameterAverage::swap(nn::ParameterStore& parameters) {
  const c10::NoGradGuard guard;
  for (auto& [name, average] : averages_) {
    const at::Tensor master = parameters.find(name)->master;
    const at::Tensor kept = master.clone();
    master.copy_(average);
    average.copy_(kept);
  }
  parameters.masters_changed();
}

std::vector<std::pair<std::string, at::Tensor>> ParameterAverage::state() const {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& [name, average] : averages_) tensors.emplace_back(name + ".average", average);
  return tensors;
}

void ParameterAverage::load_state(const SafetensorsFile& file) {
  for (auto& [name, average] : averages_) {
    const at::Tensor stored = nn::to_tensor(file.at(name + ".average"));
    if (stored.sizes() != average.sizes())
      fail(ErrorKind::input, file.name(), ": '", name, ".average' has another shape than the parameter");
    average.copy_(stored);
  }
}

}  // namespace omni::optimizer
