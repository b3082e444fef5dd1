#include "checkpoint_values.h"

#include <ATen/core/grad_mode.h>

#include <string_view>

#include "omni/core/error.h"

namespace omni::model {
namespace {

constexpr std::string_view kSuffix = checkpoint::kValueSuffix;
constexpr const char* kAverageSuffix = ".average";

double elements_of(const std::vector<std::int64_t>& shape) {
  double elements = 1;
  for (const std::int64_t side : shape) elements *= static_cast<double>(side);
  return elements;
}

// A tensor of the parameter's shape.
void read_into(const checkpoint::CheckpointReader& checkpoint, const std::string& name,
               const nn::Parameter& parameter) {
  const std::vector<std::int64_t>& stored = checkpoint.tensors().at(name);
  if (at::IntArrayRef(stored) != parameter.value.sizes())
    fail(ErrorKind::input, "reading the checkpoint '", checkpoint.folder().string(), "': '", name,
         "' has the shape ", at::IntArrayRef(stored), ", the network needs ", parameter.value.sizes(),
         ". It belongs to another configuration");
  const at::Tensor& master = parameter.master;
  ensure(master.is_cpu() && master.is_contiguous(), "weights are read before they move");
  checkpoint.read(name, 0, {master.mutable_data_ptr<float>(), static_cast<std::size_t>(master.numel())});
}

}  // namespace

nn::ParameterStart start_of(const checkpoint::CheckpointReader& checkpoint) {
  nn::ParameterStart start = nn::ParameterStart::unset();
  start.file = checkpoint.folder().string();
  start.maximum_elements = 0;
  for (const auto& [name, shape] : checkpoint.tensors())
    if (name.ends_with(kSuffix)) start.maximum_elements += elements_of(shape);
  return start;
}

void load_values(const checkpoint::CheckpointReader& checkpoint, nn::ParameterStore& parameters) {
  const c10::NoGradGuard no_grad;
  const auto refuse = [&](const auto&... reason) {
    fail(ErrorKind::input, "reading the checkpoint '", checkpoint.folder().string(), "': ", reason...,
         ". It belongs to another configuration");
  };
  for (const nn::Parameter& parameter : parameters.all()) {
    const auto found = checkpoint.tensors().find(parameter.name + std::string(kSuffix));
    if (found == checkpoint.tensors().end()) refuse("the values of '", parameter.name, "' are missing");
    read_into(checkpoint, found->first, parameter);
  }
  parameters.masters_changed();
  for (const auto& [name, shape] : checkpoint.tensors())
    if (name.ends_with(kSuffix) &&
        !parameters.find(std::string_view(name).substr(0, name.size() - kSuffix.size())))
      refuse("the network has no '", name, "'");
}

void load_averages(const checkpoint::CheckpointReader& checkpoint, nn::ParameterStore& parameters) {
  const c10::NoGradGuard no_grad;
  bool any = false;
  for (const nn::Parameter& parameter : parameters.all()) {
    const std::string name = parameter.name + kAverageSuffix;
    if (!checkpoint.tensors().contains(name)) continue;  // it was not trained
    read_into(checkpoint, name, parameter);
    any = true;
  }
  if (!any)
    fail(ErrorKind::usage, "the checkpoint '", checkpoint.folder().string(),
         "' holds no averages of the weights: its run had no ema.decay. Export its weights");
  parameters.masters_changed();
}

}  // namespace omni::model
