#pragma once

#include <cstdint>
#include <string>

#include "omni/core/config.h"

namespace omni::optimizer {

// Linear warm-up from 0, then a cosine, a linear descent, a constant, or a constant with a linear descent at the
// end (warm-up, stable, decay: Hu et al. 2024, arXiv 2404.06395), whose stable part can be made longer at any time.
struct ScheduleConfig {
  double peak_learning_rate = 1e-3;
  std::string shape = "cosine";  // cosine, linear, constant, warmup_stable_decay
  double warmup_share = 0.02;    // of the run
  double final_share = 0.1;      // of the peak, reached at the end
  double decay_share = 0.2;      // warmup_stable_decay: of the run, in which it descends
};
void describe(ConfigVisitor& visitor, ScheduleConfig& config);

// `progress` is the share of the run that is done, 0 .. 1: steps or seconds, as the trainer's budget counts.
// Outside it is clamped.
double learning_rate_at(const ScheduleConfig& config, double progress);

}  // namespace omni::optimizer
