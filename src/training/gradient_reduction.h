#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "omni/distributed/collectives.h"
#include "omni/nn/parameters.h"

namespace omni::training {

// Data parallel training: the gradients of each unit are summed over the ranks.

// In the last backward pass of a step a unit's gradients are on their way as soon as the last of them is there,
// beside the rest of the pass. Units go in a fixed order, from the last to the root, so that every rank makes
// the same calls whatever its micro-batches touched; what no gradient reached counts as zero. Units that are fully
// sharded are not its own, and beside them it sends nothing before finish(): theirs are the calls until then.
class GradientReduction {
 public:
  // Of a sealed store; both must outlive it.
  GradientReduction(nn::ParameterStore& parameters, distributed::Collectives& collectives);
  ~GradientReduction();
  GradientReduction(const GradientReduction&) = delete;
  GradientReduction& operator=(const GradientReduction&) = delete;

  // The next backward pass is the last of the step.
  void begin_last_backward();
  // Sends what is left and returns when all sums may be used.
  void finish();

 private:
  class Arrival;  // called when a gradient has been added
  void arrived(std::size_t unit);
  void send_next();

  nn::ParameterStore* parameters_;
  distributed::Collectives* collectives_;
  std::vector<std::size_t> leaves_;   // of each unit
  std::vector<std::size_t> missing_;  // of them, in this pass
  bool listens_ = true;
  std::size_t unsent_ = 0;  // units below this number are still to be sent
  bool listening_ = false;
  std::vector<distributed::Pending> calls_;
};

}  // namespace omni::training
