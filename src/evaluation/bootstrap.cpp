#include "omni/evaluation/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "omni/core/random.h"

namespace omni::evaluation {
namespace {

double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

MeanInterval bootstrap_mean(std::span<const double> values, std::int64_t resamples, std::uint64_t seed) {
  MeanInterval interval;
  interval.count = static_cast<std::int64_t>(values.size());
  if (values.empty()) {
    interval.mean = interval.low = interval.high = std::numeric_limits<double>::quiet_NaN();
    return interval;
  }
  double sum = 0;
  for (const double value : values) sum += value;
  interval.mean = sum / static_cast<double>(values.size());
  interval.low = interval.high = interval.mean;
  if (resamples < 2) return interval;
  std::vector<double> means(static_cast<std::size_t>(resamples));
  for (std::size_t k = 0; k < means.size(); ++k) {
    CounterRng rng(seed, k);
    double total = 0;
    for (std::size_t i = 0; i < values.size(); ++i) total += values[rng.below(values.size())];
    means[k] = total / static_cast<double>(values.size());
  }
  std::sort(means.begin(), means.end());
  interval.low = quantile(means, 0.025);
  interval.high = quantile(means, 0.975);
  return interval;
}

}  // namespace omni::evaluation
