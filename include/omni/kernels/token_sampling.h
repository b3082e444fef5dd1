#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace omni::kernels {

// How a token is drawn from logits. The filters apply in this order: repetition penalty, temperature, top-k,
// top-p, min-p. Candidates are ordered by logit, highest first, ties by the lower index.
struct SamplingSettings {
  double temperature = 1.0;  // 0: the first candidate (greedy); then nothing is drawn
  std::int64_t top_k = 0;    // keep the first k candidates; 0: all
  double top_p = 1.0;        // keep the shortest prefix whose probability reaches top_p
  double min_p = 0.0;        // keep candidates with at least min_p times the first one's probability
  double repetition_penalty =
      1.0;  // divides positive and multiplies negative logits of seen tokens (Keskar et al. 2019)
};
void validate(const SamplingSettings& settings);  // throws Error(usage)

// The key of one draw: the same key gives the same number whatever else is sampled beside it.
struct SamplingKey {
  std::uint64_t seed = 0;
  std::uint64_t sequence = 0;
  std::uint64_t step = 0;
};

struct SampledToken {
  std::int32_t index = 0;              // into the logits row
  float log_probability = 0;           // under softmax(logits), before any filter
  float filtered_log_probability = 0;  // under the distribution that it was drawn from; 0 if greedy
};

// Draws from one row of logits; -inf marks a token that cannot be drawn. `seen` lists indices under the
// repetition penalty (repeats count once, others are ignored). `place` names the position in errors. Throws
// Error(internal) for NaN or +inf and for a row that is empty or -inf throughout.
SampledToken sample_token(std::span<const float> logits, const SamplingSettings& settings,
                          const SamplingKey& key, std::string_view place,
                          std::span<const std::int32_t> seen = {});

// Guidance with one weight per condition (in the order in which conditions are added):
//   l(none) + s1 [l(c1) - l(none)] + s2 [l(c1,c2) - l(c1)] + ...
// rows[0] is l(none), rows[i] has the first i conditions; weights has rows.size() - 1 entries. -inf in any
// row stays -inf.
std::vector<float> combine_guidance(std::span<const std::span<const float>> rows,
                                    std::span<const double> weights);

}  // namespace omni::kernels
