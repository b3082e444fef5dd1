// The optimizers of a stage: AdamW, and Muon for the matrices of the blocks where the config asks for it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "omni/optimizer/adamw.h"
#include "omni/optimizer/muon.h"

namespace omni::training {

class StageOptimizer {
 public:
  // Seals the store, which must outlive it; `matrix_type` as in nn::ParameterSeal.
  StageOptimizer(nn::ParameterStore& parameters, const optimizer::AdamWConfig& adamw,
                 const optimizer::MuonConfig& muon, at::ScalarType matrix_type = at::kFloat);

  // From the gradients, which are used up; see optimizer::AdamW::step().
  void step(double learning_rate, const optimizer::GradientMeasure& measure = {});
  void zero_gradients();
  // See AdamW::restrict_to_rows; meanwhile Muon's matrices stay as they are.
  void restrict_to_rows(std::map<std::string, optimizer::AdamW::Rows> rows);
  std::vector<std::pair<std::string, at::Tensor>> state() const;
  void load_state(const SafetensorsFile& file);

 private:
  nn::ParameterStore* parameters_;
  optimizer::AdamW adamw_;
  std::optional<optimizer::Muon> muon_;
  bool restricted_ = false;
};

}  // namespace omni::training
