#include "omni/nn/parameter_units.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>
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

// Members stay whole: each rank owns a run of them, as equal in size as they allow.
std::vector<ElementRange> shards_of_whole_members(const PlannedSection& planned, int ranks) {
  std::vector<ElementRange> shards;
  std::int64_t first = 0;
  std::size_t next = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    const std::int64_t wanted = planned.size * (rank + 1) / ranks;
    std::int64_t end = first;
    while (next < planned.section.members.size()) {
      const ParameterSection::Member& member = planned.section.members[next];
      // It goes to the rank in whose share its middle lies.
      if (rank + 1 < ranks && member.first + member.count / 2 >= wanted) break;
      end = member.first + aligned(member.count);
      ++next;
    }
    shards.push_back({first, end - first});
    first = end;
  }
  return shards;
}

void divide(PlannedSection& planned, const ParameterSeal& seal) {
  ParameterSection& section = planned.section;
  if (seal.whole && seal.whole(section.group)) {
    section.shards = shards_of_whole_members(planned, seal.ranks);
  } else {
    const std::int64_t share = aligned((planned.size + seal.ranks - 1) / seal.ranks);
    planned.size = share * seal.ranks;
    for (int rank = 0; rank < seal.ranks; ++rank) section.shards.push_back({rank * share, share});
  }
  section.owned = section.shards.at(static_cast<std::size_t>(seal.rank));
}

void allocate(PlannedSection& planned, const at::TensorOptions& options, bool fully) {
  ParameterSection& section = planned.section;
  const auto fp32 = options.dtype(at::kFloat);
  section.values = at::zeros({planned.size}, options.dtype(planned.type));
  if (fully) section.reduced = at::zeros({section.owned.count}, fp32);
  section.masters =
      section.has_own_masters() ? at::zeros({section.owned.count}, fp32) : section.owned_part(section.values);
}

bool owns_all_of(const ParameterSection& section, const ParameterSection::Member& member) {
  return member.first >= section.owned.first &&
         member.first + member.count <= section.owned.first + section.owned.count;
}

// Moves one parameter into the section's buffers.
void move_in(Parameter& parameter, const ParameterSection& section, const ParameterSection::Member& member) {
  const auto shape = parameter.value.sizes().vec();
  const at::Tensor given = parameter.value.detach(), value = part(section.values, member, shape);
  value.copy_(given);
  parameter.value.set_data(value);
  // A gradient in the leaf's own type would be rounded before it is added.
  if (value.scalar_type() != at::kFloat) parameter.value.set_grad_dtype(at::kFloat);
  if (section.gradients.defined()) parameter.value.mutable_grad() = part(section.gradients, member, shape);
  parameter.master = at::Tensor();
  if (owns_all_of(section, member))
    parameter.master =
        section.masters.narrow(0, member.first - section.owned.first, member.count).view(shape);
}

// One that nobody trains stays where it is, and has a master beside it as those have that are trained.
void round_frozen(Parameter& parameter, at::ScalarType type) {
  if (parameter.trainable || parameter.value.scalar_type() == type) return;
  parameter.value.set_data(parameter.master.to(type));
}

// From a parameter's values [its shape], once the section has them, too.
void set_masters(const ParameterSection& section, const OwnedPiece& piece, const at::Tensor& values) {
  if (!section.has_own_masters()) return;
  section.masters.narrow(0, piece.first, piece.elements.count)
      .copy_(values.reshape({-1}).narrow(0, piece.elements.first, piece.elements.count));
}

// A tensor of that shape in which every element is the same NaN: whoever reads what was released sees it.
at::Tensor released(at::IntArrayRef shape, const at::TensorOptions& options) {
  return at::full({}, std::numeric_limits<float>::quiet_NaN(), options).expand(shape);
}

}  // namespace

std::vector<OwnedPiece> owned_pieces(const ParameterSection& section) {
  std::vector<OwnedPiece> pieces;
  const std::int64_t owned_end = section.owned.first + section.owned.count;
  for (const ParameterSection::Member& member : section.members) {
    const std::int64_t first = std::max(member.first, section.owned.first);
    const std::int64_t end = std::min(member.first + member.count, owned_end);
    if (first < end)
      pieces.push_back({member.parameter, {first - member.first, end - first}, first - section.owned.first});
  }
  return pieces;
}

void ParameterStore::seal(const ParameterSeal& seal) {
  ensure(!sealed_, "a store of parameters is sealed twice");
  ensure(seal.ranks >= 1 && seal.rank >= 0 && seal.rank < seal.ranks, "no such rank");
  const c10::NoGradGuard no_grad;
  std::vector<std::vector<std::size_t>> members(units_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (parameters_[i].trainable) members[parameters_[i].unit].push_back(i);
  for (Parameter& parameter : parameters_)
    round_frozen(parameter, leaf_type(parameter, units_[parameter.unit], seal));
  for (std::size_t u = 0; u < units_.size(); ++u)
    if (!members[u].empty()) seal_unit(u, members[u], seal);
  sealed_ = true;
}

void ParameterStore::seal_unit(std::size_t number, const std::vector<std::size_t>& members,
                               const ParameterSeal& seal) {
  ParameterUnit& unit = units_[number];
  const bool fully = seal.fully && seal.ranks > 1 && unit.kind == ParameterUnit::Kind::block;
  std::vector<PlannedSection> planned = plan_sections(parameters_, members, unit, seal);
  std::int64_t total = 0;
  for (PlannedSection& own : planned) {
    ensure(!fully || !seal.whole || !seal.whole(own.section.group),
           "parameters that are owned whole cannot be sharded fully");
    divide(own, seal);
    total += own.size;
  }
  const auto options = parameters_[members.front()].value.options().requires_grad(false);
  if (!fully) unit.gradients = at::zeros({total}, options.dtype(at::kFloat));
  std::int64_t next = 0;
  for (PlannedSection& own : planned) {
    ParameterSection& section = own.section;
    allocate(own, options, fully);
    if (!fully) section.gradients = unit.gradients.narrow(0, next, own.size);
    // Before the leaves are rounded.
    for (const OwnedPiece& piece : owned_pieces(section))
      set_masters(section, piece, parameters_[piece.parameter].value.detach());
    for (const ParameterSection::Member& member : section.members)
      move_in(parameters_[member.parameter], section, member);
    next += own.size;
    unit.sections.push_back(std::move(section));
  }
  if (fully) release_values(number);
}

void ParameterStore::hold_values(std::size_t unit) {
  const c10::NoGradGuard no_grad;
  for (ParameterSection& section : units_[unit].sections) {
    // The gaps are the owners' to bring, too.
    section.values = at::empty({section.size()}, section.values.options());
    section.owned_part(section.values).copy_(section.masters);
    for (const ParameterSection::Member& member : section.members) {
      Tensor& leaf = parameters_[member.parameter].value;
      leaf.set_data(part(section.values, member, leaf.sizes()));
    }
  }
}

void ParameterStore::release_values(std::size_t unit) {
  const c10::NoGradGuard no_grad;
  for (ParameterSection& section : units_[unit].sections) {
    for (const ParameterSection::Member& member : section.members) {
      Tensor& leaf = parameters_[member.parameter].value;
      leaf.set_data(released(leaf.sizes(), section.values.options()));
    }
    section.values = released({section.size()}, section.values.options());
  }
}

void ParameterStore::hold_gradients(std::size_t number) {
  const c10::NoGradGuard no_grad;
  ParameterUnit& unit = units_[number];
  std::int64_t total = 0, next = 0;
  for (const ParameterSection& section : unit.sections) total += section.size();
  unit.gradients = at::zeros({total}, unit.sections.front().masters.options());
  for (ParameterSection& section : unit.sections) {
    section.gradients = unit.gradients.narrow(0, next, section.size());
    next += section.size();
    for (const ParameterSection::Member& member : section.members) {
      Tensor& leaf = parameters_[member.parameter].value;
      leaf.mutable_grad() = part(section.gradients, member, leaf.sizes());
    }
  }
}

void ParameterStore::release_gradients(std::size_t number) {
  ParameterUnit& unit = units_[number];
  for (ParameterSection& section : unit.sections) {
    for (const ParameterSection::Member& member : section.members)
      parameters_[member.parameter].value.mutable_grad() = Tensor();
    section.gradients = Tensor();
  }
  unit.gradients = Tensor();
}

void ParameterStore::unseal(const Gather& gather) {
  ensure(sealed_, "a store is unsealed that was not sealed");
  const c10::NoGradGuard no_grad;
  for (ParameterUnit& unit : units_) {
    for (const ParameterSection& section : unit.sections) {
      ensure(!section.is_sharded() || gather != nullptr, "a sharded store is unsealed by one rank alone");
      const at::Tensor masters = section.is_sharded() ? gather(section) : section.masters;
      for (const ParameterSection::Member& member : section.members) {
        Parameter& parameter = parameters_[member.parameter];
        const at::Tensor own = part(masters, member, parameter.value.sizes()).clone();
        parameter.value.mutable_grad() = at::Tensor();
        parameter.value.set_data(own);
        parameter.value.set_grad_dtype(at::kFloat);
        parameter.master = parameter.value.detach();
      }
    }
    unit.sections.clear();
    unit.gradients = at::Tensor();
  }
  for (Parameter& parameter : parameters_) {
    if (parameter.value.scalar_type() == at::kFloat) continue;
    parameter.value.set_data(parameter.master);
    parameter.master = parameter.value.detach();
  }
  sealed_ = false;
}

void ParameterStore::set(Parameter& parameter, const at::Tensor& values) {
  const c10::NoGradGuard no_grad;
  ParameterUnit& unit = units_[parameter.unit];
  if (!parameter.trainable || !unit.is_fully_sharded()) parameter.value.copy_(values);
  if (!parameter.trainable) parameter.master.copy_(values);
  for (ParameterSection& section : unit.sections)
    for (const OwnedPiece& piece : owned_pieces(section))
      if (&parameters_[piece.parameter] == &parameter) set_masters(section, piece, values);
}

void ParameterStore::masters_changed(ParameterSection& section) {
  const c10::NoGradGuard no_grad;
  if (const Tensor values = section.following_values(); values.defined()) values.copy_(section.masters);
  values_changed(section);
}

void ParameterStore::masters_changed() {
  for (ParameterUnit& unit : units_)
    for (ParameterSection& section : unit.sections) masters_changed(section);
}

void ParameterStore::values_changed(ParameterSection& section) {
  for (const ParameterSection::Member& member : section.members)
    parameters_[member.parameter].value.unsafeGetTensorImpl()->bump_version();
}

void ParameterStore::zero_frozen_gradients() {
  const c10::NoGradGuard no_grad;
  if (!sealed_)
    for (const Parameter& parameter : parameters_)
      if (parameter.frozen_rows.count > 0 && parameter.trainable && parameter.value.grad().defined())
        parameter.value.grad().narrow(0, parameter.frozen_rows.first, parameter.frozen_rows.count).zero_();
  for (const ParameterUnit& unit : units_)
    for (const ParameterSection& section : unit.sections)
      for (const OwnedPiece& piece : owned_pieces(section)) {
        const ElementRange& frozen = parameters_[piece.parameter].frozen_rows;
        const std::int64_t begin = piece.elements.first, end = begin + piece.elements.count,
                           first = std::clamp(frozen.first, begin, end),
                           last = std::clamp(frozen.first + frozen.count, begin, end);
        if (first < last)
          section.owned_gradients().narrow(0, piece.first + first - begin, last - first).zero_();
      }
}

void ParameterStore::zero_gradients() {
  const c10::NoGradGuard no_grad;
  for (ParameterUnit& unit : units_) {
    if (unit.gradients.defined()) unit.gradients.zero_();
    for (ParameterSection& section : unit.sections)
      if (section.reduced.defined()) section.reduced.zero_();
  }
  if (sealed_) return;
  for (Parameter& parameter : parameters_) parameter.value.mutable_grad() = Tensor();
}

}  // namespace omni::nn
