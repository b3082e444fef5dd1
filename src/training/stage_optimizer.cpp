#include "stage_optimizer.h"

#include "omni/core/error.h"
#include "omni/kernels/profiled_range.h"
#include "omni/optimizer/groups.h"
#include "section_exchange.h"

namespace omni::training {
namespace {

nn::ParameterStore& sealed(nn::ParameterStore& parameters, const optimizer::AdamWConfig& adamw,
                           const optimizer::MuonConfig& muon, at::ScalarType matrix_type,
                           const distributed::Collectives& collectives, Sharding sharding,
                           const optimizer::GroupRules& rules) {
  nn::ParameterSeal seal{.matrix_type = matrix_type};
  if (sharding != Sharding::none) {
    seal.rank = collectives.rank();
    seal.ranks = collectives.size();
    seal.fully = sharding == Sharding::full;
  }
  optimizer::seal_for(parameters, adamw, muon, seal, rules);
  return parameters;
}

}  // namespace

StageOptimizer::StageOptimizer(nn::ParameterStore& parameters, const optimizer::AdamWConfig& adamw,
                               const optimizer::MuonConfig& muon, at::ScalarType matrix_type,
                               distributed::Collectives& collectives, Sharding sharding,
                               optimizer::GroupRules rules, double average_decay)
    : sharded_(sharding != Sharding::none && collectives.size() > 1),
      parameters_(&sealed(parameters, adamw, muon, matrix_type, collectives, sharding, rules)),
      collectives_(&collectives),
      values_(parameters, collectives),
      adamw_(std::in_place, parameters, adamw, rules) {
  if (muon.enabled) muon_.emplace(parameters, muon, adamw.weight_decay, std::move(rules));
  if (average_decay > 0) average_.emplace(parameters, average_decay);
}

optimizer::GradientMeasure StageOptimizer::step(double learning_rate, double clip_norm) {
  const kernels::ProfiledRange profiled("optimizer", kernels::ProfiledRange::Kind::phase);
  values_.finish();  // of blocks that no pass went through
  parameters_->zero_frozen_gradients();
  optimizer::SumOverRanks sum;
  if (sharded_) sum = [&](const at::Tensor& value) { collectives_->all_reduce(value).wait(); };
  const optimizer::GradientMeasure measure = optimizer::measure_gradients(*parameters_, clip_norm, sum);
  adamw_->step(learning_rate, measure);
  if (muon_ && !restricted_) muon_->step(learning_rate, measure);
  values_.begin();
  return measure;
}

void StageOptimizer::update_average(std::int64_t step) {
  if (average_) average_->update(step);
}

void StageOptimizer::exchange_average() {
  ensure(average_.has_value(), "there is no average of the weights");
  values_.finish();
  average_->exchange();
  values_.begin();
  values_.finish();
}

void StageOptimizer::zero_gradients() { parameters_->zero_gradients(); }

void StageOptimizer::restrict_to_rows(std::map<std::string, optimizer::AdamW::Rows> rows) {
  restricted_ = !rows.empty();
  adamw_->restrict_to_rows(std::move(rows));
}

std::vector<optimizer::SectionState> StageOptimizer::section_state() const {
  std::vector<optimizer::SectionState> states = adamw_->section_state();
  if (muon_)
    for (optimizer::SectionState& state : muon_->section_state()) states.push_back(std::move(state));
  if (average_)
    for (optimizer::SectionState& state : average_->section_state()) states.push_back(std::move(state));
  return states;
}

std::vector<optimizer::StatePiece> StageOptimizer::pieces() const {
  return optimizer::pieces_of(section_state(), *parameters_);
}

void StageOptimizer::unseal() {
  values_.finish();
  // Their moments would be beside the whole model.
  average_.reset();
  muon_.reset();
  adamw_.reset();
  parameters_->unseal([&](const nn::ParameterSection& section) {
    return gather_owned(section, section.masters, *collectives_);
  });
}

}  // namespace omni::training
