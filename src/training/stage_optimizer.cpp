#include "stage_optimizer.h"

namespace omni::training {

StageOptimizer::StageOptimizer(nn::ParameterStore& parameters, const optimizer::AdamWConfig& adamw,
                               const optimizer::MuonConfig& muon)
    : parameters_(&parameters), adamw_(parameters, adamw, [&](const nn::Parameter& p) {
        return muon.enabled && optimizer::is_hidden_matrix(p);
      }) {
  if (muon.enabled) muon_.emplace(parameters, muon, adamw.weight_decay);
}

void StageOptimizer::step(double learning_rate) {
  adamw_.step(learning_rate);
  if (muon_ && !restricted_) muon_->step(learning_rate);
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
