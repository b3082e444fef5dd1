#include "omni/optimizer/adamw.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>

#include <algorithm>
#include <optional>

#include "omni/core/error.h"
#include "omni/kernels/cuda_adamw.h"

namespace omni::optimizer {

using at::Tensor;

namespace {

// LibTorch's calls take undefined tensors only as empty optionals.
std::optional<Tensor> if_defined(const Tensor& tensor) {
  return tensor.defined() ? std::optional<Tensor>(tensor) : std::nullopt;
}

}  // namespace

void describe(ConfigVisitor& visitor, AdamWConfig& c) {
  visitor.number("beta1", c.beta1, {.minimum = 0, .maximum = 0.99999});
  visitor.number("beta2", c.beta2, {.minimum = 0, .maximum = 0.999999});
  visitor.number("epsilon", c.epsilon, {.minimum = 1e-20, .maximum = 1});
  visitor.number("weight_decay", c.weight_decay, {.minimum = 0, .maximum = 10});
  visitor.flag("decay_embeddings", c.decay_embeddings);
}

AdamW::AdamW(nn::ParameterStore& parameters, const AdamWConfig& config, GroupRules rules)
    : parameters_(&parameters), config_(config), rules_(std::move(rules)) {
  ensure(parameters.sealed(), "an optimiser wants a store that was sealed for it");
  at::TensorOptions options(at::kFloat);
  for (nn::ParameterUnit& unit : parameters.units()) {
    for (nn::ParameterSection& section : unit.sections) {
      // Also where all is Muon's: whether a step is skipped is told on that device.
      options = section.masters.options();
      if (group_of(section) == Group::orthogonal) continue;
      slots_.push_back({&section, at::zeros_like(section.masters), at::zeros_like(section.masters)});
    }
  }
  steps_ = at::zeros({}, options);
}

std::int64_t AdamW::steps_taken() const { return static_cast<std::int64_t>(steps_.item<float>()); }

void AdamW::set_steps_taken(std::int64_t steps) { steps_.fill_(static_cast<double>(steps)); }

void AdamW::restrict_to_rows(std::map<std::string, Rows> rows) {
  for (const auto& [name, range] : rows) {
    const nn::Parameter* parameter = parameters_->find(name);
    ensure(parameter != nullptr && parameter->trainable, "no trainable parameter is called '", name, "'");
    ensure(range.first >= 0 && range.count >= 0 && range.first + range.count <= parameter->value.size(0),
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
  if (path_ == kernels::KernelPath::fused && steps_.is_cuda()) return step_fused(learning_rate, measure);
  std::map<int, std::vector<const Slot*>> by_group;
  for (const Slot& slot : slots_) by_group[slot.section->group].push_back(&slot);
  for (const auto& [group, slots] : by_group) {
    std::vector<Tensor> masters, gradients, first, second, maxima, steps;
    for (const Slot* slot : slots) {
      masters.push_back(slot->section->masters);
      gradients.push_back(slot->section->owned_gradients());
      first.push_back(slot->first_moment);
      second.push_back(slot->second_moment);
      steps.push_back(steps_);
    }
    const nn::ParameterSection& section = *slots.front()->section;
    at::_fused_adamw_(masters, gradients, first, second, maxima, steps,
                      learning_rate * learning_rate_factor(section, rules_), config_.beta1, config_.beta2,
                      weight_decay(section, rules_, config_.weight_decay), config_.epsilon, false, false,
                      if_defined(measure.divisor), if_defined(measure.skipped));
  }
  for (const Slot& slot : slots_) parameters_->masters_changed(*slot.section);
}

void AdamW::step_fused(double learning_rate, const GradientMeasure& measure) {
  for (const Slot& slot : slots_) {
    nn::ParameterSection& section = *slot.section;
    kernels::cuda_adamw({.masters = section.masters,
                         .gradients = section.owned_gradients(),
                         .first_moment = slot.first_moment,
                         .second_moment = slot.second_moment,
                         .values = section.following_values(),
                         .steps = steps_,
                         .divisor = measure.divisor,
                         .skipped = measure.skipped,
                         .learning_rate = learning_rate * learning_rate_factor(section, rules_),
                         .beta1 = config_.beta1,
                         .beta2 = config_.beta2,
                         .weight_decay = weight_decay(section, rules_, config_.weight_decay),
                         .epsilon = config_.epsilon});
    parameters_->values_changed(section);
  }
}

void AdamW::step_rows(double learning_rate, const GradientMeasure& measure) {
  const Tensor steps = steps_.to(at::kDouble);
  const Tensor correction1 = (1 - at::pow(config_.beta1, steps)).to(at::kFloat);
  const Tensor correction2 = (1 - at::pow(config_.beta2, steps)).to(at::kFloat);
  const auto change = [&](const Tensor& target, const Tensor& changed) {
    target.copy_(measure.skipped.defined() ? at::where(measure.skipped > 0, target, changed) : changed);
  };
  for (const Slot& slot : slots_) {
    const double decay = weight_decay(*slot.section, rules_, config_.weight_decay),
                 rate = learning_rate * learning_rate_factor(*slot.section, rules_);
    for (const nn::OwnedPiece& piece : nn::owned_pieces(*slot.section)) {
      const nn::Parameter& parameter = parameters_->all()[piece.parameter];
      const auto found = rows_.find(parameter.name);
      if (found == rows_.end()) continue;
      // The elements of the rows that lie in the piece.
      const std::int64_t row = parameter.value.numel() / std::max<std::int64_t>(1, parameter.value.size(0));
      const std::int64_t start = piece.elements.first, end = start + piece.elements.count;
      const std::int64_t first_element = std::clamp(found->second.first * row, start, end);
      const std::int64_t count =
          std::clamp((found->second.first + found->second.count) * row, start, end) - first_element;
      const auto part = [&](const Tensor& owned) {
        return owned.narrow(0, piece.first + first_element - start, count);
      };
      Tensor gradient = part(slot.section->owned_gradients());
      if (measure.divisor.defined()) gradient = gradient / measure.divisor;
      const Tensor master = part(slot.section->masters), first = part(slot.first_moment),
                   second = part(slot.second_moment);
      change(first, first * config_.beta1 + gradient * (1 - config_.beta1));
      change(second, second * config_.beta2 + gradient * gradient * (1 - config_.beta2));
      change(master, master * (1 - rate * decay) -
                         rate * (first / correction1) / ((second / correction2).sqrt() + config_.epsilon));
    }
    parameters_->masters_changed(*slot.section);
  }
}

std::vector<SectionState> AdamW::section_state() const {
  std::vector<SectionState> states;
  for (const Slot& slot : slots_) {
    states.push_back({slot.section, "first_moment", slot.first_moment});
    states.push_back({slot.section, "second_moment", slot.second_moment});
  }
  return states;
}

nn::NamedTensors AdamW::state() const {
  nn::NamedTensors tensors = named_state(section_state(), *parameters_);
  tensors.emplace_back("optimizer.steps", at::full({1}, steps_taken(), at::kLong));
  return tensors;
}

void AdamW::load_state(const SafetensorsFile& file) {
  optimizer::load_state(file, section_state(), *parameters_);
  const std::vector<std::int64_t> steps = file.at("optimizer.steps").to_vector<std::int64_t>();
  if (steps.size() != 1 || steps[0] < 0)
    fail(ErrorKind::input, file.name(), ": 'optimizer.steps' is not one count");
  set_steps_taken(steps[0]);
}

}  // namespace omni::optimizer
