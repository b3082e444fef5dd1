#include "omni/optimizer/adamw.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>

#include <algorithm>

#include "omni/core/error.h"
#include "omni/optimizer/groups.h"

namespace omni::optimizer {
namespace {

using at::Tensor;

// Copies `name` of the file over the first rows of `target`.
void read_moment(const SafetensorsFile& file, const std::string& name, const Tensor& target) {
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

AdamW::AdamW(nn::ParameterStore& parameters, const AdamWConfig& config)
    : parameters_(&parameters), config_(config) {
  ensure(parameters.sealed(), "an optimiser wants a store that was sealed for it");
  at::TensorOptions options(at::kFloat);
  for (nn::ParameterUnit& unit : parameters.units()) {
    for (nn::ParameterSection& section : unit.sections) {
      if (section.group == static_cast<int>(Group::orthogonal)) continue;
      slots_.push_back({&section, at::zeros_like(section.masters), at::zeros_like(section.masters)});
      options = section.masters.options();
    }
  }
  steps_ = at::zeros({}, options);
}

std::int64_t AdamW::steps_taken() const { return static_cast<std::int64_t>(steps_.item<float>()); }

std::vector<AdamW::Part> AdamW::parts() const {
  std::vector<Part> parts;
  for (const Slot& slot : slots_) {
    for (const nn::ParameterSection::Member& member : slot.section->members) {
      const nn::Parameter& parameter = parameters_->all()[member.parameter];
      const auto part = [&](const Tensor& flat) {
        return flat.narrow(0, member.first, member.count).view(parameter.value.sizes());
      };
      parts.push_back({&parameter, part(slot.first_moment), part(slot.second_moment),
                       slot.section->group == static_cast<int>(Group::decayed)});
    }
  }
  return parts;
}

void AdamW::restrict_to_rows(std::map<std::string, Rows> rows) {
  const std::vector<Part> all = parts();
  for (const auto& [name, range] : rows) {
    const auto part =
        std::find_if(all.begin(), all.end(), [&](const Part& p) { return p.parameter->name == name; });
    ensure(part != all.end(), "no trainable parameter is called '", name, "'");
    ensure(
        range.first >= 0 && range.count >= 0 && range.first + range.count <= part->parameter->value.size(0),
        "rows outside '", name, "'");
  }
  rows_ = std::move(rows);
}

void AdamW::step(double learning_rate, const GradientMeasure& measure) {
  const c10::NoGradGuard guard;
  if (measure.skipped.defined())
    steps_.add_(1 - measure.skipped);
  else
    steps_.add_(1);
  if (!rows_.empty()) return step_rows(learning_rate, measure);
  const auto given = [](const Tensor& tensor) {
    return tensor.defined() ? std::optional<Tensor>(tensor) : std::nullopt;
  };
  for (const Group group : {Group::decayed, Group::plain}) {
    std::vector<Tensor> masters, gradients, first, second, maxima, steps;
    for (const Slot& slot : slots_) {
      if (slot.section->group != static_cast<int>(group)) continue;
      masters.push_back(slot.section->masters);
      gradients.push_back(slot.section->gradients);
      first.push_back(slot.first_moment);
      second.push_back(slot.second_moment);
      steps.push_back(steps_);
    }
    if (masters.empty()) continue;
    at::_fused_adamw_(masters, gradients, first, second, maxima, steps, learning_rate, config_.beta1,
                      config_.beta2, group == Group::decayed ? config_.weight_decay : 0.0, config_.epsilon,
                      false, false, given(measure.divisor), given(measure.skipped));
  }
  for (const Slot& slot : slots_) parameters_->masters_changed(*slot.section);
}

void AdamW::step_rows(double learning_rate, const GradientMeasure& measure) {
  const Tensor steps = steps_.to(at::kDouble);
  const Tensor correction1 = (1 - at::pow(config_.beta1, steps)).to(at::kFloat);
  const Tensor correction2 = (1 - at::pow(config_.beta2, steps)).to(at::kFloat);
  for (const Part& own : parts()) {
    const auto found = rows_.find(own.parameter->name);
    if (found == rows_.end()) continue;
    const auto rows = [&](const Tensor& tensor) {
      return tensor.narrow(0, found->second.first, found->second.count);
    };
    const auto change = [&](const Tensor& target, const Tensor& changed) {
      target.copy_(measure.skipped.defined() ? at::where(measure.skipped > 0, target, changed) : changed);
    };
    Tensor gradient = rows(own.parameter->value.grad());
    if (measure.divisor.defined()) gradient = gradient / measure.divisor;
    const Tensor master = rows(own.parameter->master), first = rows(own.first_moment),
                 second = rows(own.second_moment);
    change(first, first * config_.beta1 + gradient * (1 - config_.beta1));
    change(second, second * config_.beta2 + gradient * gradient * (1 - config_.beta2));
    const Tensor kept = own.decayed ? master * (1 - learning_rate * config_.weight_decay) : master;
    change(master,
           kept - learning_rate * (first / correction1) / ((second / correction2).sqrt() + config_.epsilon));
  }
  for (const Slot& slot : slots_) parameters_->masters_changed(*slot.section);
}

std::vector<std::pair<std::string, Tensor>> AdamW::state() const {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const Part& part : parts()) {
    tensors.emplace_back(part.parameter->name + ".first_moment", part.first_moment);
    tensors.emplace_back(part.parameter->name + ".second_moment", part.second_moment);
  }
  tensors.emplace_back("optimizer.steps", at::full({1}, steps_taken(), at::kLong));
  return tensors;
}

void AdamW::load_state(const SafetensorsFile& file) {
  for (Part& part : parts()) {
    read_moment(file, part.parameter->name + ".first_moment", part.first_moment);
    read_moment(file, part.parameter->name + ".second_moment", part.second_moment);
  }
  const std::vector<std::int64_t> steps = file.at("optimizer.steps").to_vector<std::int64_t>();
  if (steps.size() != 1 || steps[0] < 0)
    fail(ErrorKind::input, file.name(), ": 'optimizer.steps' is not one count");
  steps_.fill_(static_cast<double>(steps[0]));
}

}  // namespace omni::optimizer
