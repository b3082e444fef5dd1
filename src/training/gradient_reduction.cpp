#include "gradient_reduction.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "section_exchange.h"

namespace omni::training {

class GradientReduction::Arrival : public torch::autograd::PostAccumulateGradHook {
 public:
  Arrival(GradientReduction& reduction, std::size_t unit) : reduction_(&reduction), unit_(unit) {}
  void operator()(const torch::autograd::Variable&) override { reduction_->arrived(unit_); }

 private:
  GradientReduction* reduction_;
  std::size_t unit_;
};

GradientReduction::GradientReduction(nn::ParameterStore& parameters, distributed::Collectives& collectives)
    : parameters_(&parameters),
      collectives_(&collectives),
      leaves_(parameters.units().size()),
      unsent_(leaves_.size()) {
  for (const nn::ParameterUnit& unit : parameters.units()) listens_ = listens_ && !unit.is_fully_sharded();
  listens_ = listens_ && collectives.size() > 1;
  if (!listens_) return;
  for (const nn::Parameter& parameter : parameters.all()) {
    if (!parameter.trainable) continue;
    ++leaves_[parameter.unit];
    torch::autograd::impl::set_post_acc_grad_hooks(parameter.value,
                                                   std::make_unique<Arrival>(*this, parameter.unit));
  }
}

GradientReduction::~GradientReduction() {
  if (!listens_) return;
  for (const nn::Parameter& parameter : parameters_->all())
    if (parameter.trainable) torch::autograd::impl::set_post_acc_grad_hooks(parameter.value, nullptr);
}

void GradientReduction::begin_last_backward() {
  missing_ = leaves_;
  listening_ = listens_;
}

// The root stays for finish(): its tables gather gradients from both ends of the network.
void GradientReduction::arrived(std::size_t unit) {
  if (!listening_) return;
  --missing_[unit];
  while (unsent_ > 1 && missing_[unsent_ - 1] == 0) send_next();
}

void GradientReduction::send_next() {
  const nn::ParameterUnit& unit = parameters_->units()[--unsent_];
  if (!unit.gradients.defined() || unit.is_fully_sharded()) return;
  for (distributed::Pending& call : reduce_gradients(unit, *collectives_)) calls_.push_back(std::move(call));
}

void GradientReduction::finish() {
  if (collectives_->size() == 1) return;
  listening_ = false;
  while (unsent_ > 0) send_next();
  unsent_ = leaves_.size();
  for (distributed::Pending& call : calls_) call.wait();
  calls_.clear();
}

}  // namespace omni::training
