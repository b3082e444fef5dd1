#include "stage_optimizer.h"

#include "omni/optimizer/groups.h"

namespace omni::training {
namespace {

nn::ParameterStore& sealed(nn::ParameterStore& parameters, const optimizer::AdamWConfig& adamw,
                           const optimizer::MuonConfig& muon, at::ScalarType matrix_type) {
  optimizer::seal_for(parameters, adamw, muon, matrix_type);
  return parameters;
}

}  // namespace

StageOptimizer::StageOptimizer(nn::ParameterStore& parameters, const optimizer::AdamWConfig& adamw,
                               const optimizer::MuonConfig& muon, at::ScalarType matrix_type)
    : parameters_(&sealed(parameters, adamw, muon, matrix_type)), adamw_(parameters, adamw) {
  if (muon.enabled) muon_.emplace(parameters, muon, adamw.weight_decay);
}

void StageOptimizer::step(double learning_rate, const optimizer::GradientMeasure& measure) {
  adamw_.step(learning_rate, measure);
  if (muon_ && !restricted_) muon_->step(learning_rate, measure);
}

void StageOptimizer::zero_gradients() { parameters_->zero_gradients(); }

void StageOptimizer::restrict_to_rows(std::map<std::string, optimizer::AdamW::Rows> rows) {
  restricted_ = !rows.empty();
  adamw_.restrict_to_rows(std::move(rows));
}

std::vector<std::pair<std::string, at::Tensor>> StageOptimizer::state() const {
  auto tensors = adamw_.state();
  if (muon_) {
    for (auto& tensor : muon_->state()) tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void StageOptimizer::load_state(const SafetensorsFile& file) {
  adamw_.load_state(file);
  if (muon_) muon_->load_state(file);
}

}  // namespace omni::training
