#include "omni/kernels/token_sampling.h"

#include <algorithm>
#include <cmath>

#include "cpu/token_distribution.h"
#include "omni/core/error.h"
#include "omni/core/random.h"

namespace omni::kernels {
namespace {

// Blocks so small that few scores beyond the first `wanted` ones have to be looked at.
std::int64_t survey_block(std::int64_t count, std::int64_t wanted) {
  const std::int64_t best = wanted > 0 ? count / (4 * wanted) : 256;
  return std::clamp<std::int64_t>(best / 16 * 16, 16, 1024);
}

std::vector<LikelyToken> likely_tokens(const SurveyedScores& surveyed, const TokenScores& scores,
                                       std::int64_t count, double log_sum) {
  const CandidateList list = surveyed.first(count);
  std::vector<std::size_t> order(list.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return list.scores[a] > list.scores[b]; });
  std::vector<LikelyToken> tokens;
  for (const std::size_t i : order)
    tokens.push_back(
        {scores.token(list.indices[i]), static_cast<float>(scores.unpenalised(list.indices[i]) - log_sum)});
  return tokens;
}

}  // namespace

void validate(const SamplingSettings& s) {
  const auto require = [](bool good, std::string_view what) {
    if (!good) fail(ErrorKind::usage, "sampling settings: ", what);
  };
  require(s.temperature >= 0 && s.temperature <= kMaximumTemperature,
          "temperature must be between 0 and 100 (1 is the model's own, lower is safer)");
  require(s.top_k >= 0, "top-k must be 0 (off) or positive");
  require(s.top_p > 0 && s.top_p <= 1, "top-p must be above 0 and at most 1");
  require(s.min_p >= 0 && s.min_p <= 1, "min-p must be between 0 and 1");
  require(std::isfinite(s.repetition_penalty) && s.repetition_penalty > 0,
          "the repetition penalty must be positive");
}

SampledToken sample_token(const SamplingInput& input, const SamplingSettings& settings,
                          const SamplingKey& key, std::vector<LikelyToken>* likely,
                          std::int64_t likely_count) {
  validate(settings);
  TokenScores scores(input);
  const std::int64_t wanted = std::max(settings.top_k < scores.count() ? settings.top_k : 0, likely_count);
  SurveyedScores surveyed(scores, survey_block(scores.count(), wanted), input.place);
  const double log_sum = surveyed.log_sum();
  if (settings.repetition_penalty != 1.0 && !input.seen.empty()) {
    scores.penalise(settings.repetition_penalty);
    surveyed = SurveyedScores(scores, survey_block(scores.count(), wanted), input.place);
  }
  SampledToken token;
  std::int32_t position = 0;
  if (settings.temperature == 0) {
    position = surveyed.at_least(surveyed.peak()).indices[0];
  } else {
    const std::uint64_t bits = CounterRng(hash_combine(key.seed, key.sequence), key.step).next_u64();
    const auto drawn = TokenDistribution(surveyed, settings).draw(bits);
    position = drawn.position;
    token.filtered_log_probability = static_cast<float>(drawn.log_probability);
  }
  token.index = scores.token(position);
  token.log_probability = static_cast<float>(scores.unpenalised(position) - log_sum);
  if (likely) likely->clear();
  if (likely && likely_count > 0) *likely = likely_tokens(surveyed, scores, likely_count, log_sum);
  return token;
}

SampledToken sample_token(std::span<const float> logits, const SamplingSettings& settings,
                          const SamplingKey& key, std::string_view place,
                          std::span<const std::int32_t> seen) {
  SamplingInput input;
  input.rows = {&logits, 1};
  input.seen = seen;
  input.place = place;
  return sample_token(input, settings, key);
}

}  // namespace omni::kernels
