#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "omni/core/config.h"
#include "omni/nn/parameters.h"

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

// Matrices between hidden activations. Tables, heads and projections of codebooks have one row for each
// token, which orthogonal updates would move all alike: they stay with AdamW.
bool is_hidden_matrix(const nn::Parameter& parameter);

// The nearest matrix with orthonormal rows (columns, where there are more rows than columns), roughly:
// singular values come out between 0.7 and 1.2 by the quintic Newton-Schulz iteration. matrices [n, rows,
// columns] fp32 -> the same.
at::Tensor orthogonalised(const at::Tensor& matrices, std::int64_t iterations);

// Optimises the hidden matrices of one store, which must outlive it.
class Muon {
 public:
  Muon(nn::ParameterStore& parameters, const MuonConfig& config, double weight_decay);

  // One update from the gradients. A parameter without gradient counts as one whose gradient is zero.
  void step(double learning_rate);

  // "<parameter>.momentum", for checkpoints. load_state throws Error(input) where one is missing or has
  // another shape.
  std::vector<std::pair<std::string, at::Tensor>> state() const;
  void load_state(const SafetensorsFile& file);

 private:
  struct Slot {
    std::string name;
    at::Tensor value, momentum;
    std::int64_t parts;  // matrices that are stored as one, one above the other
  };
  MuonConfig config_;
  double weight_decay_;
  std::vector<Slot> slots_;
};

}  // namespace omni::optimizer
