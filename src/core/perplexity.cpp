#include "omni/core/perplexity.h"

#include <cmath>
#include <numeric>

namespace omni {

double perplexity(std::span<const double> counts) {
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  if (total <= 0) return 0;
  double entropy = 0;
  for (const double count : counts)
    if (count > 0) entropy -= count / total * std::log(count / total);
  return std::exp(entropy);
}

}  // namespace omni
