#include "full_sharding.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "memory_parts.h"
#include "omni/core/error.h"
#include "section_exchange.h"

namespace omni::training {
namespace {

// While a block is computed the gradients of one before it may still be on their way.
constexpr std::size_t kReductionsBeside = 1;

}  // namespace

FullSharding::FullSharding(nn::ParameterStore& parameters, distributed::Collectives& collectives)
    : parameters_(&parameters),
      collectives_(&collectives),
      held_(parameters.units().size()),
      asked_(parameters.units().size()) {
  for (std::size_t unit = 0; unit < parameters.units().size(); ++unit)
    if (parameters.units()[unit].is_fully_sharded()) units_.push_back(unit);
}

bool FullSharding::is_mine(std::size_t unit) const {
  return std::binary_search(units_.begin(), units_.end(), unit);
}

FullSharding::Visit FullSharding::visit(std::int64_t number) const {
  const auto blocks = static_cast<std::int64_t>(units_.size());
  const std::int64_t in_pass = passes_ == Passes::forward ? blocks : 2 * blocks, place = number % in_pass;
  if (place < blocks) return {units_[static_cast<std::size_t>(place)], Pass::forward};
  return {units_[static_cast<std::size_t>(2 * blocks - 1 - place)], Pass::backward};
}

void FullSharding::begin(std::int64_t count, Passes passes) {
  ensure(next_ == end_ && !all_held_, "passes through sharded blocks begin before others have ended");
  passes_ = passes;
  peak_bytes_ = bytes_;  // of these passes: samples hold all blocks
  next_ = 0;
  end_ = count * static_cast<std::int64_t>(units_.size()) * (passes == Passes::forward ? 1 : 2);
  if (next_ < end_) ask_for(visit(next_).unit);
}

void FullSharding::finish() {
  while (next_ < end_) skip_visit();
  finish_reductions(0);
}

void FullSharding::gather_all(bool keep) {
  ensure(next_ == end_ && !all_held_, "blocks are gathered while they are visited");
  for (const std::size_t unit : units_) {
    ask_for(unit);
    wait_for(unit);
    if (!keep) release(unit);
  }
  all_held_ = keep;
}

void FullSharding::release_all() {
  for (const std::size_t unit : units_)
    if (held_[unit]) release(unit);
  all_held_ = false;
}

void FullSharding::enter(std::size_t unit, Pass pass) {
  if (all_held_ || !is_mine(unit)) return;
  // Those that this rank's micro-batch passes by.
  while (next_ < end_ && !(visit(next_) == Visit{unit, pass})) skip_visit();
  ensure(next_ < end_, "a sharded block is computed without its turn");
  begin_visit();
}

void FullSharding::leave(std::size_t unit, Pass /*pass*/) {
  if (!all_held_ && is_mine(unit)) end_visit();
}

void FullSharding::begin_visit() {
  const Visit now = visit(next_);
  ask_for(now.unit);
  if (next_ + 1 < end_) ask_for(visit(next_ + 1).unit);
  if (now.pass == Pass::backward) {
    const bool again =
        !reductions_.empty() && reductions_.back().unit == now.unit;  // where it is the only block
    finish_reductions(again ? 0 : kReductionsBeside);
    parameters_->hold_gradients(now.unit);
    count(gradient_bytes(parameters_->units()[now.unit]));
  }
  // Calls end in their order: gradients of the micro-batch before have arrived when values have.
  if (wait_for(now.unit) && now.pass == Pass::forward) finish_reductions(0);
}

void FullSharding::end_visit() {
  const Visit now = visit(next_++);
  if (now.pass == Pass::backward)
    reductions_.push_back({now.unit, reduce_gradients(parameters_->units()[now.unit], *collectives_)});
  if (next_ == end_ || visit(next_).unit != now.unit) release(now.unit);
}

void FullSharding::skip_visit() {
  begin_visit();
  end_visit();
}

void FullSharding::ask_for(std::size_t unit) {
  if (held_[unit]) return;
  held_[unit] = true;
  parameters_->hold_values(unit);
  count(value_bytes(parameters_->units()[unit]));
  for (const nn::ParameterSection& section : parameters_->units()[unit].sections)
    for (distributed::Pending& call : gather_values(section, *collectives_))
      asked_[unit].push_back(std::move(call));
}

bool FullSharding::wait_for(std::size_t unit) {
  if (asked_[unit].empty()) return false;
  waited_seconds_ += training::wait_for(asked_[unit]);
  return true;
}

void FullSharding::release(std::size_t unit) {
  held_[unit] = false;
  count(-value_bytes(parameters_->units()[unit]));
  parameters_->release_values(unit);
}

void FullSharding::finish_reductions(std::size_t left) {
  const c10::NoGradGuard no_grad;
  while (reductions_.size() > left) {
    Reduction& first = reductions_.front();
    waited_seconds_ += training::wait_for(first.calls);
    nn::ParameterUnit& unit = parameters_->units()[first.unit];
    for (nn::ParameterSection& section : unit.sections)
      section.reduced.add_(section.owned_part(section.gradients));
    parameters_->release_gradients(first.unit);
    count(-gradient_bytes(unit));
    reductions_.pop_front();
  }
}

void FullSharding::count(std::int64_t bytes) {
  bytes_ += bytes;
  peak_bytes_ = std::max(peak_bytes_, bytes_);
}

}  // namespace omni::training
