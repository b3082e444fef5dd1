#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "omni/core/config.h"
#include "omni/nn/parameters.h"
#include "omni/optimizer/gradients.h"
#include "omni/optimizer/group_rules.h"
#include "omni/optimizer/state_piece.h"

namespace omni::optimizer {

// Muon (Jordan et al. 2024): the momentum of each weight matrix of the blocks, made orthogonal, is its
// update. Scaled to the size of an AdamW update as in Liu et al. 2025 (arXiv 2502.16982), so both share
// learning rate and decay.
struct MuonConfig {
  bool enabled = false;
  double momentum = 0.95;  // of Nesterov's kind
  std::int64_t iterations = 5;
  double update_scale = 0.2;  // root mean square of an update's entries, in learning rates
};
void describe(ConfigVisitor& visitor, MuonConfig& config);

// Matrices between hidden activations: those of the blocks. Tables, heads and projections of codebooks have one
// row for each token, which orthogonal updates would move all alike: they stay with AdamW.
bool is_hidden_matrix(const nn::Parameter& parameter, const nn::ParameterStore& parameters);

// The nearest matrix with orthonormal rows (columns, where there are more rows than columns), roughly:
// singular values come out between 0.7 and 1.2 by the quintic Newton-Schulz iteration. matrices [n, rows,
// columns] fp32 -> the same.
at::Tensor orthogonalised(const at::Tensor& matrices, std::int64_t iterations);

// Optimises the group `orthogonal` of one sealed store, which must outlive it. Matrices that are stored as one
// (nn::ParameterTraits::stacked_rows) are made orthogonal one by one.
class Muon {
 public:
  // `rules`: those that the store was sealed with.
  Muon(nn::ParameterStore& parameters, const MuonConfig& config, double weight_decay, GroupRules rules = {});

  // One update from the gradients; see AdamW::step().
  void step(double learning_rate, const GradientMeasure& measure = {});

  // The momenta, for checkpoints.
  std::vector<SectionState> section_state() const;

 private:
  struct Slot {
    nn::ParameterSection* section;
    at::Tensor momentum;  // [owned]
  };
  nn::ParameterStore* parameters_;
  MuonConfig config_;
  double weight_decay_;
  GroupRules rules_;
  std::vector<Slot> slots_;
};

}  // namespace omni::optimizer
