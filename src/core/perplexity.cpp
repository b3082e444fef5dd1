#include "omni/core/perplexity.h"

#include <cmath>
#include <numeric>
#include <vector>

namespace omni {

double perplexity(std::span<const double> counts) {
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  if (total <= 0) return 0;
  double entropy = 0;
  for (const double count : counts)
    if (count > 0) entropy -= count / total * std::log(count / total);
  return std::exp(entropy);
}

double perplexity(const std::map<std::int32_t, std::int64_t>& count_of_code) {
  std::vector<double> counts;
  for (const auto& [code, count] : count_of_code) counts.push_back(static_cast<double>(count));
  return perplexity(counts);
}

}  // namespace omni
