#include "checkpoint_values.h"

#include <ATen/core/grad_mode.h>

#include <string_view>

#include "omni/core/error.h"

namespace omni::model {
namespace {

constexpr std::string_view kSuffix = checkpoint::kValueSuffix;

double elements_of(const std::vector<std::int64_t>& shape) {
  double elements = 1;
  for (const std::int64_t side : shape) elements *= static_cast<double>(side);
  return elements;
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
    if (at::IntArrayRef(found->second) != parameter.value.sizes())
      refuse("'", parameter.name, "' has the shape ", at::IntArrayRef(found->second), ", the network needs ",
             parameter.value.sizes());
    const at::Tensor& master = parameter.master;
    ensure(master.is_cpu() && master.is_contiguous(), "weights are read before they move");
    checkpoint.read(found->first, 0,
                    {master.mutable_data_ptr<float>(), static_cast<std::size_t>(master.numel())});
  }
  parameters.masters_changed();
  for (const auto& [name, shape] : checkpoint.tensors())
    if (name.ends_with(kSuffix) &&
        !parameters.find(std::string_view(name).substr(0, name.size() - kSuffix.size())))
      refuse("the network has no '", name, "'");
}

}  // namespace omni::model
