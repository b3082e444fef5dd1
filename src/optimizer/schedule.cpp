#include "omni/optimizer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace omni::optimizer {

void describe(ConfigVisitor& visitor, ScheduleConfig& c) {
  visitor.number("peak_learning_rate", c.peak_learning_rate, {.minimum = 0, .maximum = 10});
  visitor.choice("shape", c.shape, {"cosine", "linear", "constant", "warmup_stable_decay"});
  visitor.number("warmup_share", c.warmup_share, {.minimum = 0, .maximum = 1});
  visitor.number("final_share", c.final_share, {.minimum = 0, .maximum = 1});
  visitor.added_later(c.decay_share == ScheduleConfig{}.decay_share, [&](ConfigVisitor& later) {
    later.number("decay_share", c.decay_share, {.minimum = 0, .maximum = 1});
  });
}

double learning_rate_at(const ScheduleConfig& c, double progress) {
  progress = std::clamp(progress, 0.0, 1.0);
  if (progress < c.warmup_share) return c.peak_learning_rate * progress / c.warmup_share;
  if (c.shape == "constant") return c.peak_learning_rate;
  if (c.shape == "warmup_stable_decay") {
    const double left = c.decay_share > 0 ? std::min(1.0, (1 - progress) / c.decay_share) : 1.0;
    return c.peak_learning_rate * (c.final_share + (1 - c.final_share) * left);
  }
  const double rest = c.warmup_share < 1 ? (progress - c.warmup_share) / (1 - c.warmup_share) : 1.0;
  const double descent = c.shape == "linear" ? 1 - rest : 0.5 * (1 + std::cos(std::numbers::pi * rest));
  return c.peak_learning_rate * (c.final_share + (1 - c.final_share) * descent);
}

}  // namespace omni::optimizer
