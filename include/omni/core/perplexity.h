#pragma once

#include <cstdint>
#include <map>
#include <span>

namespace omni {

// 2^entropy of the distribution with these counts or weights, none negative: how many codes used equally
// often would be as varied. 0 where all counts are 0.
double perplexity(std::span<const double> counts);
double perplexity(const std::map<std::int32_t, std::int64_t>& count_of_code);

}  // namespace omni
