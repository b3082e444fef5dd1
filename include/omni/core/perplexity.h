#pragma once

#include <span>

namespace omni {

// 2^entropy of the distribution with these counts or weights, none negative: how many codes used equally
// often would be as varied. 0 where all counts are 0.
double perplexity(std::span<const double> counts);

}  // namespace omni
