#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "omni/core/config.h"
#include "omni/kernels/fused_kernels.h"
#include "omni/nn/parameters.h"
#include "omni/optimizer/gradients.h"
#include "omni/optimizer/group_rules.h"
#include "omni/optimizer/state_piece.h"

namespace omni::optimizer {

// AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101).
struct AdamWConfig {
  double beta1 = 0.9, beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;      // on matrices; never on vectors (norm scales, biases)
  bool decay_embeddings = false;  // also on tables whose name holds "embedding"
};
void describe(ConfigVisitor& visitor, AdamWConfig& config);

// Optimises the groups `decayed` and `plain` of one sealed store, which must outlive it. Moments are fp32, flat
// as the parameters are. `rules`: those that the store was sealed with.
class AdamW {
 public:
  AdamW(nn::ParameterStore& parameters, const AdamWConfig& config, GroupRules rules = {});

  // On a GPU; at first the library's. Updates of some rows alone are the library's whatever is said.
  void set_kernel_path(kernels::KernelPath path) { path_ = path; }
  // One update from the gradients, which are used up. Where `measure` says so, on the device alone, they are
  // scaled first or the update does not happen.
  void step(double learning_rate, const GradientMeasure& measure = {});
  std::int64_t steps_taken() const;  // waits for the device

  // From now on only the rows [first, first + count) of each named matrix are updated and every other
  // parameter stays as it is, bit for bit (stage 2: new vocabulary rows alone). An empty map lifts the
  // restriction.
  struct Rows {
    std::int64_t first = 0, count = 0;
  };
  void restrict_to_rows(std::map<std::string, Rows> rows);

  // The moments, and with them the step count, are what a checkpoint keeps.
  std::vector<SectionState> section_state() const;
  void set_steps_taken(std::int64_t steps);
  // The same as named tensors, with "optimizer.steps" (int64 [1]); see named_state().
  nn::NamedTensors state() const;
  void load_state(const SafetensorsFile& file);

 private:
  // A section of the store and its moments, flat like its masters.
  struct Slot {
    nn::ParameterSection* section;
    at::Tensor first_moment, second_moment;
  };
  void step_fused(double learning_rate, const GradientMeasure& measure);
  void step_rows(double learning_rate, const GradientMeasure& measure);

  nn::ParameterStore* parameters_;
  AdamWConfig config_;
  GroupRules rules_;
  kernels::KernelPath path_ = kernels::KernelPath::library;
  std::vector<Slot> slots_;
  std::map<std::string, Rows> rows_;
  at::Tensor steps_;  // [] fp32 on the device: updates that happened
};

}  // namespace omni::optimizer
