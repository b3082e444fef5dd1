#pragma once

#include <algorithm>
#include <cstdint>

namespace omni::training {

// When a run ends: after so many steps or minutes, whichever comes first.
struct RunBudget {
  std::int64_t steps = 1;
  double minutes = 0;  // 0: no limit

  // The share of the run that is done, 0 .. 1; schedules follow it.
  double progress(std::int64_t steps_done, double seconds) const {
    const double by_steps = static_cast<double>(steps_done) / static_cast<double>(steps);
    const double by_time = minutes > 0 ? seconds / (60 * minutes) : 0;
    return std::min(1.0, std::max(by_steps, by_time));
  }
};

}  // namespace omni::training
