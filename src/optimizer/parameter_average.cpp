#include "omni/optimizer/parameter_average.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "omni/core/error.h"

namespace omni::optimizer {

void describe(ConfigVisitor& visitor, AverageConfig& c) {
  visitor.number("decay", c.decay, {.minimum = 0, .maximum = 0.999999});
  visitor.flag("samples", c.samples);
  visitor.flag("bundle", c.bundle);
}

ParameterAverage::ParameterAverage(nn::ParameterStore& parameters, double decay)
    : parameters_(&parameters), decay_(decay) {
  ensure(parameters.sealed(), "an average wants a store that was sealed for its optimiser");
  for (nn::ParameterUnit& unit : parameters.units())
    for (nn::ParameterSection& section : unit.sections)
      slots_.push_back({&section, section.masters.detach().clone()});
}

void ParameterAverage::update(std::int64_t update) {
  const c10::NoGradGuard guard;
  const auto count = static_cast<double>(update);
  const double kept = std::min(decay_, (1 + count) / (10 + count));
  for (const Slot& slot : slots_) slot.average.lerp_(slot.section->masters, 1 - kept);
}

void ParameterAverage::exchange() {
  const c10::NoGradGuard guard;
  for (const Slot& slot : slots_) {
    const at::Tensor masters = slot.section->masters.detach().clone();
    slot.section->masters.copy_(slot.average);
    slot.average.copy_(masters);
    parameters_->masters_changed(*slot.section);
  }
}

std::vector<SectionState> ParameterAverage::section_state() const {
  std::vector<SectionState> states;
  for (const Slot& slot : slots_) states.push_back({slot.section, kAverageKind, slot.average});
  return states;
}

}  // namespace omni::optimizer
