#pragma once

#include <cstdint>
#include <vector>

#include "omni/core/config.h"
#include "omni/nn/parameters.h"
#include "omni/optimizer/state_piece.h"

namespace omni::optimizer {

// An exponential moving average of the weights (EMA; Polyak & Juditsky 1992), which are less noisy than the last
// ones.
struct AverageConfig {
  double decay = 0;     // how much of it each step keeps; 0: there is none
  bool samples = true;  // samples during the run are made with it
  bool bundle = false;  // it is what the bundle at the end holds
};
void describe(ConfigVisitor& visitor, AverageConfig& config);

inline constexpr const char* kAverageKind = "average";  // see SectionState

// The average of the parameters of one sealed store, which must outlive it: fp32, flat and shared among the ranks
// as their masters are.
class ParameterAverage {
 public:
  // Begins as the parameters are.
  ParameterAverage(nn::ParameterStore& parameters, double decay);
  // After the update of that number (from 1). The first ones count more, so that the average leaves behind what
  // it began with: it keeps (1 + update) / (10 + update) of itself where that is less than its decay.
  void update(std::int64_t update);
  // Puts the averages in the place of the masters, and these in theirs; twice, and nothing has changed.
  // Values that other ranks own are the caller's to bring.
  void exchange();
  std::vector<SectionState> section_state() const;

 private:
  struct Slot {
    nn::ParameterSection* section;
    at::Tensor average;  // [owned]
  };
  nn::ParameterStore* parameters_;
  double decay_;
  std::vector<Slot> slots_;
};

}  // namespace omni::optimizer
