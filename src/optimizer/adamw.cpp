#include "omni/optimizer/adamw.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>

#include <cmath>

#include "omni/core/error.h"

namespace omni::optimizer {
namespace {

using at::Tensor;

bool is_decayed(const nn::Parameter& parameter, const AdamWConfig& config) {
  if (parameter.value.dim() < 2) return false;
  return config.decay_embeddings || parameter.name.find("embedding") == std::string::npos;
}

// Copies `name` of the file over the first rows of `target`.
void read_moment(const SafetensorsFile& file, const std::string& name, Tensor& target) {
  const Tensor stored = nn::to_tensor(file.at(name)).to(target.device());
  const bool same_columns =
      stored.dim() == target.dim() && stored.sizes().slice(1) == target.sizes().slice(1);
  if (stored.dim() == 0 || !same_columns || stored.size(0) > target.size(0))
    fail(ErrorKind::input, file.name(), ": optimizer tensor '", name,
         "' has another shape than the parameter");
  target.zero_();
  target.narrow(0, 0, stored.size(0)).copy_(stored);
}

}  // namespace

void describe(ConfigVisitor& visitor, AdamWConfig& c) {
  visitor.number("beta1", c.beta1, {.minimum = 0, .maximum = 0.99999});
  visitor.number("beta2", c.beta2, {.minimum = 0, .maximum = 0.999999});
  visitor.number("epsilon", c.epsilon, {.minimum = 1e-20, .maximum = 1});
  visitor.number("weight_decay", c.weight_decay, {.minimum = 0, .maximum = 10});
  visitor.flag("decay_embeddings", c.decay_embeddings);
}

AdamW::AdamW(nn::ParameterStore& parameters, const AdamWConfig& config,
             const std::function<bool(const nn::Parameter&)>& left_out)
    : config_(config) {
  for (const nn::Parameter& parameter : parameters.all()) {
    if (!parameter.trainable || (left_out && left_out(parameter))) continue;
    slots_.push_back({parameter.name, parameter.value, at::zeros_like(parameter.value.detach()),
                      at::zeros_like(parameter.value.detach()), is_decayed(parameter, config)});
  }
}

void AdamW::zero_gradients() {
  for (Slot& slot : slots_) slot.value.mutable_grad() = Tensor();
}

void AdamW::restrict_to_rows(std::map<std::string, Rows> rows) {
  for (const auto& [name, range] : rows) {
    const auto slot =
        std::find_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.name == name; });
    ensure(slot != slots_.end(), "no trainable parameter is called '", name, "'");
    ensure(range.first >= 0 && range.count >= 0 && range.first + range.count <= slot->value.size(0),
           "rows outside '", name, "'");
  }
  rows_ = std::move(rows);
}

void AdamW::step(double learning_rate) {
  const c10::NoGradGuard guard;
  ++steps_;
  if (!rows_.empty()) return step_rows(learning_rate);
  for (const bool decayed : {true, false}) {
    std::vector<Tensor> values, gradients, first, second, maxima, steps;
    for (Slot& slot : slots_) {
      if (slot.decayed != decayed) continue;
      values.push_back(slot.value);
      gradients.push_back(slot.value.grad().defined() ? slot.value.grad() : at::zeros_like(slot.value));
      first.push_back(slot.first_moment);
      second.push_back(slot.second_moment);
      steps.push_back(at::full({}, static_cast<double>(steps_), slot.value.options().dtype(at::kFloat)));
    }
    if (values.empty()) continue;
    at::_fused_adamw_(values, gradients, first, second, maxima, steps, learning_rate, config_.beta1,
                      config_.beta2, decayed ? config_.weight_decay : 0.0, config_.epsilon, false, false);
    // The fused step leaves version counters as they are; copies of the weights in another type go by them.
    for (const Tensor& value : values) value.unsafeGetTensorImpl()->bump_version();
  }
}

void AdamW::step_rows(double learning_rate) {
  const double correction1 = 1 - std::pow(config_.beta1, static_cast<double>(steps_));
  const double correction2 = 1 - std::pow(config_.beta2, static_cast<double>(steps_));
  for (Slot& slot : slots_) {
    const auto found = rows_.find(slot.name);
    if (found == rows_.end() || !slot.value.grad().defined()) continue;
    const auto part = [&](const Tensor& tensor) {
      return tensor.narrow(0, found->second.first, found->second.count);
    };
    Tensor value = part(slot.value), first = part(slot.first_moment), second = part(slot.second_moment);
    const Tensor gradient = part(slot.value.grad());
    if (slot.decayed) value.mul_(1 - learning_rate * config_.weight_decay);
    first.mul_(config_.beta1).add_(gradient, 1 - config_.beta1);
    second.mul_(config_.beta2).addcmul_(gradient, gradient, 1 - config_.beta2);
    value.addcdiv_(first / correction1, (second / correction2).sqrt_().add_(config_.epsilon), -learning_rate);
  }
}

std::vector<std::pair<std::string, Tensor>> AdamW::state() const {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const Slot& slot : slots_) {
    tensors.emplace_back(slot.name + ".first_moment", slot.first_moment);
    tensors.emplace_back(slot.name + ".second_moment", slot.second_moment);
  }
  tensors.emplace_back("optimizer.steps", at::full({1}, steps_, at::kLong));
  return tensors;
}

void AdamW::load_state(const SafetensorsFile& file) {
  for (Slot& slot : slots_) {
    read_moment(file, slot.name + ".first_moment", slot.first_moment);
    read_moment(file, slot.name + ".second_moment", slot.second_moment);
  }
  const std::vector<std::int64_t> steps = file.at("optimizer.steps").to_vector<std::int64_t>();
  if (steps.size() != 1 || steps[0] < 0)
    fail(ErrorKind::input, file.name(), ": 'optimizer.steps' is not one count");
  steps_ = steps[0];
}

}  // namespace omni::optimizer
