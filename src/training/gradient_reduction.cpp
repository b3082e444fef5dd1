#include "gradient_reduction.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

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
  if (collectives.size() == 1) return;
  for (const nn::Parameter& parameter : parameters.all()) {
    if (!parameter.trainable) continue;
    ++leaves_[parameter.unit];
    torch::autograd::impl::set_post_acc_grad_hooks(parameter.value,
                                                   std::make_unique<Arrival>(*this, parameter.unit));
  }
}

GradientReduction::~GradientReduction() {
  if (collectives_->size() == 1) return;
  for (const nn::Parameter& parameter : parameters_->all())
    if (parameter.trainable) torch::autograd::impl::set_post_acc_grad_hooks(parameter.value, nullptr);
}

void GradientReduction::begin_last_backward() {
  missing_ = leaves_;
  listening_ = collectives_->size() > 1;
}

void GradientReduction::arrived(std::size_t unit) {
  if (!listening_) return;
  --missing_[unit];
  send_ready();
}

// The root stays for finish(): its tables gather gradients from both ends of the network.
void GradientReduction::send_ready() {
  while (unsent_ > 1 && missing_[unsent_ - 1] == 0) {
    --unsent_;
    const nn::ParameterUnit& unit = parameters_->units()[unsent_];
    if (!unit.gradients.defined()) continue;
    for (distributed::Pending& call : reduce_gradients(unit, *collectives_))
      calls_.push_back(std::move(call));
  }
}

void GradientReduction::finish() {
  if (collectives_->size() == 1) return;
  listening_ = false;
  missing_.assign(leaves_.size(), 0);
  send_ready();
  const nn::ParameterUnit& root = parameters_->units().front();
  if (root.gradients.defined())
    for (distributed::Pending& call : reduce_gradients(root, *collectives_))
      calls_.push_back(std::move(call));
  unsent_ = leaves_.size();
  for (distributed::Pending& call : calls_) call.wait();
  calls_.clear();
}

}  // namespace omni::training
