#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "omni/core/token_run.h"

namespace omni::kernels {

// A higher temperature is refused as a slip: far below it, all scores weigh nearly the same already.
constexpr double kMaximumTemperature = 100;

// How a token is drawn from scores. The filters apply in this order: repetition penalty, temperature, top-k,
// top-p, min-p. Candidates are ordered by score, highest first, ties by the earlier allowed token; every
// filter keeps the first of them.
struct SamplingSettings {
  double temperature = 1.0;  // 0: the first candidate (greedy); then nothing is drawn
  std::int64_t top_k = 0;    // keep the first k candidates; 0: all
  double top_p = 1.0;  // keep the shortest prefix whose probability reaches top_p (Holtzman et al. 2020)
  double min_p = 0.0;  // keep candidates with at least min_p times the first one's probability
  // Divides positive and multiplies negative scores of seen tokens (Keskar et al. 2019)
  double repetition_penalty = 1.0;
};
void validate(const SamplingSettings& settings);  // throws Error(usage)

// The key of one draw: the same key gives the same number whatever else is sampled beside it.
struct SamplingKey {
  std::uint64_t seed = 0;
  std::uint64_t sequence = 0;
  std::uint64_t step = 0;
};

// What one token is drawn from. Nothing is owned.
struct SamplingInput {
  // Logits [vocabulary], of one length; -inf in any row marks a token that cannot be drawn. rows[0] is
  // l(none), rows[i] has the first i conditions; one row: no guidance.
  std::span<const std::span<const float>> rows;
  // One weight per condition: the score is l(none) + s1 [l(c1) - l(none)] + s2 [l(c1,c2) - l(c1)] + ...
  std::span<const double> guidance;
  std::span<const TokenRun> allowed;   // disjoint; empty: the whole row
  std::span<const std::int32_t> seen;  // under the repetition penalty; repeats count once, others not at all
  std::string_view place = "an unnamed place";  // names the position in errors
};

struct SampledToken {
  std::int32_t index = 0;              // into the logits row
  float log_probability = 0;           // among the allowed tokens, before penalty, temperature and filters
  float filtered_log_probability = 0;  // under the distribution that it was drawn from; 0 if greedy
};

struct LikelyToken {
  std::int32_t index = 0;     // into the logits row
  float log_probability = 0;  // as SampledToken's
};

// Draws a token: the same one for the same input on every processor and on the GPU, since probabilities are
// summed as 64-bit integers (40 bits below the most probable token). `likely`, if not null, receives the
// first `likely_count` candidates in order (fewer where there are fewer). Throws Error(internal) for NaN or
// +inf among the allowed logits and where no token can be drawn.
SampledToken sample_token(const SamplingInput& input, const SamplingSettings& settings,
                          const SamplingKey& key, std::vector<LikelyToken>* likely = nullptr,
                          std::int64_t likely_count = 0);

// The same from one row of logits.
SampledToken sample_token(std::span<const float> logits, const SamplingSettings& settings,
                          const SamplingKey& key, std::string_view place,
                          std::span<const std::int32_t> seen = {});

}  // namespace omni::kernels
