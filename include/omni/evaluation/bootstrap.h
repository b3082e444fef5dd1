#pragma once

#include <cstdint>
#include <span>

namespace omni::evaluation {

struct MeanInterval {
  double mean = 0, low = 0, high = 0;  // not-a-number without values
  std::int64_t count = 0;
};

// The mean of independent values with the percentile bootstrap interval (Efron 1979) that covers 95 %. A pure
// function of its arguments.
MeanInterval bootstrap_mean(std::span<const double> values, std::int64_t resamples, std::uint64_t seed);

}  // namespace omni::evaluation
