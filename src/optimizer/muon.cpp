#include "omni/optimizer/muon.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "omni/core/error.h"

namespace omni::optimizer {

using at::Tensor;

namespace {

// Queries, keys and values are three matrices in one tensor, gates and values of SwiGLU two.
std::int64_t stacked_parts(const std::string& name, const Tensor& value) {
  if (name.ends_with("qkv.weight") && value.size(0) == 3 * value.size(1)) return 3;
  return name.ends_with("gate_up.weight") ? 2 : 1;
}

}  // namespace

void describe(ConfigVisitor& visitor, MuonConfig& c) {
  visitor.flag("enabled", c.enabled);
  visitor.number("momentum", c.momentum, {.minimum = 0, .maximum = 0.99999});
  visitor.integer("iterations", c.iterations, {1, 20});
  visitor.number("update_scale", c.update_scale, {.minimum = 1e-6, .maximum = 10});
}

bool is_hidden_matrix(const nn::Parameter& parameter) {
  return parameter.trainable && parameter.value.dim() == 2 &&
         parameter.name.find("blocks.") != std::string::npos;
}

Tensor orthogonalised(const Tensor& matrices, std::int64_t iterations) {
  // Coefficients of Jordan et al.: the steepest slope at zero that still keeps singular values near one.
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;
  const bool tall = matrices.size(1) > matrices.size(2);
  Tensor x = tall ? matrices.transpose(1, 2) : matrices;
  x = (x / (at::linalg_matrix_norm(x).view({-1, 1, 1}) + 1e-7)).to(at::kBFloat16);
  for (std::int64_t i = 0; i < iterations; ++i) {
    const Tensor gram = at::bmm(x, x.transpose(1, 2));
    x = at::baddbmm(x, at::baddbmm(gram, gram, gram, b, c), x, a, 1.0);
  }
  return (tall ? x.transpose(1, 2) : x).to(at::kFloat);
}

Muon::Muon(nn::ParameterStore& parameters, const MuonConfig& config, double weight_decay)
    : config_(config), weight_decay_(weight_decay) {
  for (const nn::Parameter& parameter : parameters.all())
    if (is_hidden_matrix(parameter))
      slots_.push_back({parameter.name, parameter.value, at::zeros_like(parameter.value.detach()),
                        stacked_parts(parameter.name, parameter.value)});
}

void Muon::step(double learning_rate) {
  const c10::NoGradGuard guard;
  // Matrices of one shape go through the iteration together.
  std::map<std::vector<std::int64_t>, std::vector<std::pair<Slot*, Tensor>>> by_shape;
  for (Slot& slot : slots_) {
    const Tensor gradient =
        slot.value.grad().defined() ? slot.value.grad() : at::zeros_like(slot.value.detach());
    slot.momentum.lerp_(gradient, 1 - config_.momentum);
    const Tensor direction = gradient.lerp(slot.momentum, config_.momentum);
    const std::vector<std::int64_t> shape = {slot.value.size(0) / slot.parts, slot.value.size(1)};
    by_shape[shape].emplace_back(&slot, direction.view({slot.parts, shape[0], shape[1]}));
  }
  for (const auto& [shape, members] : by_shape) {
    std::vector<Tensor> directions;
    for (const auto& [slot, direction] : members) directions.push_back(direction);
    const Tensor updates = orthogonalised(at::cat(directions, 0), config_.iterations);
    // An orthogonal matrix has entries of root mean square 1 / sqrt(longer side).
    const double scale =
        learning_rate * config_.update_scale * std::sqrt(static_cast<double>(std::max(shape[0], shape[1])));
    std::int64_t next = 0;
    for (const auto& [slot, direction] : members) {
      slot->value.mul_(1 - learning_rate * weight_decay_);
      slot->value.add_(updates.narrow(0, next, slot->parts).reshape(slot->value.sizes()), -scale);
      next += slot->parts;
    }
  }
}

std::vector<std::pair<std::string, Tensor>> Muon::state() const {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const Slot& slot : slots_) tensors.emplace_back(slot.name + ".momentum", slot.momentum);
  return tensors;
}

void Muon::load_state(const SafetensorsFile& file) {
  for (Slot& slot : slots_) {
    const Tensor stored = nn::to_tensor(file.at(slot.name + ".momentum"));
    if (stored.sizes() != slot.momentum.sizes())
      fail(ErrorKind::input, file.name(), ": optimizer tensor '", slot.name,
           ".momentum' has another shape than the parameter");
    slot.momentum.copy_(stored);
  }
}

}  // namespace omni::optimizer
