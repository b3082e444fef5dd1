#include "value_gathering.h"

#include <utility>

#include "section_exchange.h"

namespace omni::training {

class ValueGathering::Executor final : public nn::BlockExecutor {
 public:
  Executor(ValueGathering& values, std::unique_ptr<nn::BlockExecutor> inner)
      : values_(&values), inner_(std::move(inner)) {}

  std::vector<at::Tensor> run(std::size_t unit, const nn::BlockFunction& block,
                              const std::vector<at::Tensor>& inputs) const override {
    values_->wait_for(unit);
    return inner_->run(unit, block, inputs);
  }

 private:
  ValueGathering* values_;
  std::unique_ptr<nn::BlockExecutor> inner_;
};

ValueGathering::ValueGathering(nn::ParameterStore& parameters, distributed::Collectives& collectives)
    : parameters_(&parameters), collectives_(&collectives), asked_(parameters.units().size()) {}

std::unique_ptr<nn::BlockExecutor> ValueGathering::executor(std::unique_ptr<nn::BlockExecutor> inner) {
  beside_passes_ = true;
  return std::make_unique<Executor>(*this, std::move(inner));
}

// First what is outside the blocks, which nothing can go on without, then the blocks in the order of the forward pass.
void ValueGathering::begin() {
  finish();
  const std::vector<nn::ParameterUnit>& units = parameters_->units();
  const auto is_block = [&](std::size_t unit) { return units[unit].kind == nn::ParameterUnit::Kind::block; };
  for (const bool blocks : {false, true})
    for (std::size_t unit = 0; unit < units.size(); ++unit)
      if (is_block(unit) == blocks) start(unit);
  for (std::size_t unit = 0; unit < units.size(); ++unit)
    if (!is_block(unit)) wait_for(unit);
  if (!beside_passes_) finish();
}

void ValueGathering::finish() {
  for (std::size_t unit = 0; unit < asked_.size(); ++unit) wait_for(unit);
}

void ValueGathering::start(std::size_t unit) {
  for (nn::ParameterSection& section : parameters_->units()[unit].sections) {
    if (section.is_fully_sharded())
      parameters_->values_changed(section);  // when they are gathered
    else if (section.is_sharded())
      for (distributed::Pending& call : gather_values(section, *collectives_))
        asked_[unit].push_back(std::move(call));
  }
}

void ValueGathering::wait_for(std::size_t unit) {
  if (asked_[unit].empty()) return;
  // Dropped even where one fails: none is waited for twice.
  std::vector<distributed::Pending> calls;
  calls.swap(asked_[unit]);
  waited_seconds_ += training::wait_for(calls);
  for (nn::ParameterSection& section : parameters_->units()[unit].sections)
    parameters_->values_changed(section);
}

}  // namespace omni::training
