#include "omni/optimizer/muon.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "omni/core/error.h"
#include "omni/kernels/widened.h"

namespace omni::optimizer {

using at::Tensor;

void describe(ConfigVisitor& visitor, MuonConfig& c) {
  visitor.flag("enabled", c.enabled);
  visitor.number("momentum", c.momentum, {.minimum = 0, .maximum = 0.99999});
  visitor.integer("iterations", c.iterations, {1, 20});
  visitor.number("update_scale", c.update_scale, {.minimum = 1e-6, .maximum = 10});
}

bool is_hidden_matrix(const nn::Parameter& parameter, const nn::ParameterStore& parameters) {
  return parameter.trainable && parameter.value.dim() == 2 &&
         parameters.units()[parameter.unit].kind == nn::ParameterUnit::Kind::block;
}

Tensor orthogonalised(const Tensor& matrices, std::int64_t iterations) {
  // Coefficients of Jordan et al.: the steepest slope at zero that still keeps singular values near one.
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;
  const bool tall = matrices.size(1) > matrices.size(2);
  Tensor x = tall ? matrices.transpose(1, 2) : matrices;
  x = kernels::widened((x / (at::linalg_matrix_norm(x).view({-1, 1, 1}) + 1e-7)).to(at::kBFloat16));
  for (std::int64_t i = 0; i < iterations; ++i) {
    const Tensor gram = at::bmm(x, x.transpose(1, 2));
    x = at::baddbmm(x, at::baddbmm(gram, gram, gram, b, c), x, a, 1.0);
  }
  return (tall ? x.transpose(1, 2) : x).to(at::kFloat);
}

Muon::Muon(nn::ParameterStore& parameters, const MuonConfig& config, double weight_decay, GroupRules rules)
    : parameters_(&parameters), config_(config), weight_decay_(weight_decay), rules_(std::move(rules)) {
  ensure(parameters.sealed(), "an optimiser wants a store that was sealed for it");
  for (nn::ParameterUnit& unit : parameters.units())
    for (nn::ParameterSection& section : unit.sections)
      if (group_of(section) == Group::orthogonal)
        slots_.push_back({&section, at::zeros_like(section.masters)});
}

namespace {

// A single matrix: its place in the section, and where it stands in the batch that is made orthogonal.
struct Matrix {
  Tensor master;     // [rows, columns]
  Tensor direction;  // the same
  double learning_rate = 0, weight_decay = 0;
};

// The matrices of a parameter, which may be several; `whole` is the parameter as if it were one.
std::vector<Matrix> single_matrices(const nn::Parameter& parameter, const Matrix& whole) {
  if (parameter.stacked_rows.empty()) return {whole};
  const std::vector<Tensor> masters = whole.master.split_with_sizes(parameter.stacked_rows),
                            directions = whole.direction.split_with_sizes(parameter.stacked_rows);
  std::vector<Matrix> matrices;
  for (std::size_t i = 0; i < masters.size(); ++i)
    matrices.push_back({masters[i], directions[i], whole.learning_rate, whole.weight_decay});
  return matrices;
}

}  // namespace

void Muon::step(double learning_rate, const GradientMeasure& measure) {
  const c10::NoGradGuard guard;
  // Matrices of one shape go through the iteration together.
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<Matrix>> by_shape;
  for (const Slot& slot : slots_) {
    if (slot.section->owned.count == 0) continue;
    const double rate = learning_rate * learning_rate_factor(*slot.section, rules_),
                 decay = weight_decay(*slot.section, rules_, weight_decay_);
    Tensor gradient = slot.section->owned_gradients();
    if (measure.divisor.defined()) gradient = gradient / measure.divisor;
    // Towards itself, it stays.
    if (measure.skipped.defined()) gradient = at::where(measure.skipped > 0, slot.momentum, gradient);
    slot.momentum.lerp_(gradient, 1 - config_.momentum);
    const Tensor direction = gradient.lerp(slot.momentum, config_.momentum);
    for (const nn::OwnedPiece& piece : nn::owned_pieces(*slot.section)) {
      const nn::Parameter& parameter = parameters_->all()[piece.parameter];
      const Tensor own = direction.narrow(0, piece.first, piece.elements.count).view(parameter.value.sizes());
      for (Matrix& matrix : single_matrices(parameter, {parameter.master, own, rate, decay}))
        by_shape[{matrix.master.size(0), matrix.master.size(1)}].push_back(std::move(matrix));
    }
  }
  if (by_shape.empty()) return;
  // A step that is skipped keeps all of a master and takes nothing of its update, which is finite then, too.
  const Tensor skipped = measure.skipped.defined()
                             ? measure.skipped
                             : at::zeros({}, by_shape.begin()->second.front().master.options());
  const Tensor taken = 1 - skipped;
  for (const auto& [shape, matrices] : by_shape) {
    std::vector<Tensor> directions;
    for (const Matrix& matrix : matrices) directions.push_back(matrix.direction);
    const Tensor updates = orthogonalised(at::stack(directions), config_.iterations);
    // An orthogonal matrix has entries of root mean square 1 / sqrt(longer side).
    const double root = std::sqrt(static_cast<double>(std::max(shape.first, shape.second)));
    for (std::size_t i = 0; i < matrices.size(); ++i) {
      const auto& [master, direction, rate, decay] = matrices[i];
      master.mul_(at::where(skipped > 0, 1.0, 1 - rate * decay));
      master.addcmul_(updates[static_cast<std::int64_t>(i)], taken, -(rate * config_.update_scale * root));
    }
  }
  for (const Slot& slot : slots_) parameters_->masters_changed(*slot.section);
}

std::vector<SectionState> Muon::section_state() const {
  std::vector<SectionState> states;
  for (const Slot& slot : slots_) states.push_back({slot.section, "momentum", slot.momentum});
  return states;
}

}  // namespace omni::optimizer
