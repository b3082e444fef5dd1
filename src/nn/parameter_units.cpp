#include "omni/nn/parameter_units.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>

#include "omni/core/error.h"
#include "omni/nn/parameters.h"

namespace omni::nn {
namespace {

// Of the narrowest type that leaves have; in fp32 it is twice the alignment.
constexpr std::int64_t kAlignmentElements = kLeafAlignmentBytes / 2;

std::int64_t aligned(std::int64_t elements) {
  return (elements + kAlignmentElements - 1) / kAlignmentElements * kAlignmentElements;
}

at::ScalarType leaf_type(const Parameter& parameter, const ParameterUnit& unit, const ParameterSeal& seal) {
  const bool matrix = parameter.value.dim() == 2 && unit.kind == ParameterUnit::Kind::block;
  return matrix ? seal.matrix_type : at::kFloat;
}

// One whose place in the buffers is settled, without the buffers.
struct PlannedSection {
  ParameterSection section;
  at::ScalarType type;
  std::int64_t size = 0;
};

std::vector<PlannedSection> plan_sections(const std::vector<Parameter>& parameters,
                                          const std::vector<std::size_t>& members, const ParameterUnit& unit,
                                          const ParameterSeal& seal) {
  std::map<std::pair<at::ScalarType, int>, PlannedSection> planned;
  for (const std::size_t index : members) {
    const Parameter& parameter = parameters[index];
    const int group = seal.group ? seal.group(parameter) : 0;
    const at::ScalarType type = leaf_type(parameter, unit, seal);
    PlannedSection& own = planned[{type, group}];
    own.type = type;
    own.section.group = group;
    own.section.members.push_back({index, own.size, parameter.value.numel()});
    own.size += aligned(parameter.value.numel());
  }
  std::vector<PlannedSection> sections;
  for (auto& [key, section] : planned) sections.push_back(std::move(section));
  return sections;
}

at::Tensor part(const at::Tensor& buffer, const ParameterSection::Member& member, at::IntArrayRef shape) {
  return buffer.narrow(0, member.first, member.count).view(shape);
}

// Moves one parameter into the section's buffers.
void move_in(Parameter& parameter, const ParameterSection& section, const ParameterSection::Member& member) {
  const auto shape = parameter.value.sizes().vec();
  const at::Tensor master = part(section.masters, member, shape), value = part(section.values, member, shape);
  master.copy_(parameter.value);
  if (!value.is_alias_of(master)) value.copy_(master);
  parameter.master = master;
  parameter.value.set_data(value);
  // A gradient in the leaf's own type would be rounded before it is added.
  if (value.scalar_type() != at::kFloat) parameter.value.set_grad_dtype(at::kFloat);
  parameter.value.mutable_grad() = part(section.gradients, member, shape);
}

}  // namespace

void ParameterStore::seal(const ParameterSeal& seal) {
  ensure(!sealed_, "a store of parameters is sealed twice");
  const c10::NoGradGuard no_grad;
  std::vector<std::vector<std::size_t>> members(units_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (parameters_[i].trainable) members[parameters_[i].unit].push_back(i);
  for (std::size_t u = 0; u < units_.size(); ++u) {
    ParameterUnit& unit = units_[u];
    if (members[u].empty()) continue;
    std::vector<PlannedSection> planned = plan_sections(parameters_, members[u], unit, seal);
    std::int64_t total = 0;
    for (const PlannedSection& own : planned) total += own.size;
    const auto options = parameters_[members[u].front()].value.options().requires_grad(false);
    unit.gradients = at::zeros({total}, options.dtype(at::kFloat));
    std::int64_t next = 0;
    for (PlannedSection& own : planned) {
      ParameterSection& section = own.section;
      section.gradients = unit.gradients.narrow(0, next, own.size);
      section.masters = at::zeros({own.size}, options.dtype(at::kFloat));
      section.values =
          own.type == at::kFloat ? section.masters : at::zeros({own.size}, options.dtype(own.type));
      for (const ParameterSection::Member& member : section.members)
        move_in(parameters_[member.parameter], section, member);
      next += own.size;
      unit.sections.push_back(std::move(section));
    }
  }
  sealed_ = true;
}

void ParameterStore::masters_changed(ParameterSection& section) {
  const c10::NoGradGuard no_grad;
  if (!section.values.is_same(section.masters)) section.values.copy_(section.masters);
  for (const ParameterSection::Member& member : section.members)
    parameters_[member.parameter].value.unsafeGetTensorImpl()->bump_version();
}

void ParameterStore::masters_changed() {
  for (ParameterUnit& unit : units_)
    for (ParameterSection& section : unit.sections) masters_changed(section);
}

void ParameterStore::zero_gradients() {
  for (ParameterUnit& unit : units_)
    if (unit.gradients.defined()) unit.gradients.zero_();
  if (sealed_) return;
  for (Parameter& parameter : parameters_) parameter.value.mutable_grad() = Tensor();
}

}  // namespace omni::nn
