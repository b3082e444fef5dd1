#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "omni/distributed/collectives.h"
#include "omni/optimizer/adamw.h"
#include "omni/optimizer/muon.h"
#include "omni/optimizer/parameter_average.h"
#include "omni/training/stage_config.h"
#include "value_gathering.h"

namespace omni::training {

// The optimizers of a stage: AdamW, and Muon for the matrices of the blocks where the config asks for it; and the
// average of the weights, if there is one.
class StageOptimizer {
 public:
  // Seals the store, sharded over the ranks as `sharding` says. Store and collectives must outlive it.
  StageOptimizer(nn::ParameterStore& parameters, const optimizer::AdamWConfig& adamw,
                 const optimizer::MuonConfig& muon, at::ScalarType matrix_type,
                 distributed::Collectives& collectives, Sharding sharding, optimizer::GroupRules rules = {},
                 double average_decay = 0);

  // From the gradients, which must be reduced and are used up: scales them to clip_norm (0: no limit) and updates,
  // unless they are not finite. Returns what it did, on the device. The values that other ranks own are on their way then;
  // see ValueGathering, which is free where nothing is sharded.
  optimizer::GradientMeasure step(double learning_rate, double clip_norm);
  void zero_gradients();
  ValueGathering& values() { return values_; }
  // To be called after the step of that number (from 1). Nothing where there is no average.
  void update_average(std::int64_t step);
  bool has_average() const { return average_.has_value(); }
  // The average in the place of the weights, and these in its, on every rank; twice, and nothing has changed.
  void exchange_average();
  // Of AdamW's updates; see AdamW::set_kernel_path.
  void set_kernel_path(kernels::KernelPath path) { adamw_->set_kernel_path(path); }
  // See AdamW::restrict_to_rows; meanwhile Muon's matrices stay as they are.
  void restrict_to_rows(std::map<std::string, optimizer::AdamW::Rows> rows);

  // What this rank keeps.
  std::vector<optimizer::SectionState> section_state() const;
  std::vector<optimizer::StatePiece> pieces() const;  // of it, by parameter
  std::int64_t steps_taken() const { return adamw_->steps_taken(); }
  void set_steps_taken(std::int64_t steps) { adamw_->set_steps_taken(steps); }
  // The store is the network's alone again, whole on every rank; nothing else may be called then.
  void unseal();

 private:
  bool sharded_;
  nn::ParameterStore* parameters_;
  distributed::Collectives* collectives_;
  ValueGathering values_;
  std::optional<optimizer::AdamW> adamw_;  // until unseal()
  std::optional<optimizer::Muon> muon_;
  std::optional<optimizer::ParameterAverage> average_;
  bool restricted_ = false;
};

}  // namespace omni::training
