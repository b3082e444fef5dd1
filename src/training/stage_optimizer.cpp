#include "stage_optimizer.h"

#include "omni/optimizer/groups.h"
#include "section_exchange.h"

namespace omni::training {
namespace {

nn::ParameterStore& sealed(nn::ParameterStore& parameters, const optimizer::AdamWConfig& adamw,
                           const optimizer::MuonConfig& muon, at::ScalarType matrix_type,
                           const distributed::Collectives& collectives, bool sharded) {
  nn::ParameterSeal seal{.matrix_type = matrix_type};
  if (sharded) {
    seal.rank = collectives.rank();
    seal.ranks = collectives.size();
  }
  optimizer::seal_for(parameters, adamw, muon, seal);
  return parameters;
}

}  // namespace

StageOptimizer::StageOptimizer(nn::ParameterStore& parameters, const optimizer::AdamWConfig& adamw,
                               const optimizer::MuonConfig& muon, at::ScalarType matrix_type,
                               distributed::Collectives& collectives, bool sharded)
    : sharded_(sharded && collectives.size() > 1),
      parameters_(&sealed(parameters, adamw, muon, matrix_type, collectives, sharded_)),
      collectives_(&collectives),
      adamw_(parameters, adamw) {
  if (muon.enabled) muon_.emplace(parameters, muon, adamw.weight_decay);
}

optimizer::GradientMeasure StageOptimizer::step(double learning_rate, double clip_norm) {
  parameters_->zero_frozen_gradients();
  optimizer::SumOverRanks sum;
  if (sharded_) sum = [&](const at::Tensor& value) { collectives_->all_reduce(value).wait(); };
  const optimizer::GradientMeasure measure = optimizer::measure_gradients(*parameters_, clip_norm, sum);
  adamw_.step(learning_rate, measure);
  if (muon_ && !restricted_) muon_->step(learning_rate, measure);
  if (!sharded_) return measure;
  std::vector<distributed::Pending> calls;
  for (nn::ParameterUnit& unit : parameters_->units())
    for (nn::ParameterSection& section : unit.sections)
      for (distributed::Pending& call : gather_values(section, *collectives_))
        calls.push_back(std::move(call));
  for (distributed::Pending& call : calls) call.wait();
  for (nn::ParameterUnit& unit : parameters_->units())
    for (nn::ParameterSection& section : unit.sections) parameters_->values_changed(section);
  return measure;
}

void StageOptimizer::zero_gradients() { parameters_->zero_gradients(); }

void StageOptimizer::restrict_to_rows(std::map<std::string, optimizer::AdamW::Rows> rows) {
  restricted_ = !rows.empty();
  adamw_.restrict_to_rows(std::move(rows));
}

std::vector<optimizer::SectionState> StageOptimizer::section_state() const {
  std::vector<optimizer::SectionState> states = adamw_.section_state();
  if (muon_)
    for (optimizer::SectionState& state : muon_->section_state()) states.push_back(std::move(state));
  return states;
}

std::vector<optimizer::StatePiece> StageOptimizer::pieces() const {
  return optimizer::pieces_of(section_state(), *parameters_);
}

void StageOptimizer::unseal() {
  parameters_->unseal([&](const nn::ParameterSection& section) {
    return gather_owned(section, section.masters, *collectives_);
  });
}

}  // namespace omni::training
