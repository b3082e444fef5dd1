#include "omni/kernels/token_sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "omni/core/error.h"
#include "omni/core/random.h"

namespace omni::kernels {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

void check_row(std::span<const float> logits, std::string_view place) {
  if (logits.empty()) fail(ErrorKind::internal, "sampling at ", place, ": no token is allowed");
  bool any = false;
  for (const float logit : logits) {
    if (std::isnan(logit) || logit == std::numeric_limits<float>::infinity())
      fail(ErrorKind::internal, "sampling at ", place,
           ": the model's logits are not finite. The weights are damaged or training diverged; use an older "
           "checkpoint");
    any = any || logit != kNever;
  }
  if (!any) fail(ErrorKind::internal, "sampling at ", place, ": every token is excluded");
}

double log_sum(std::span<const float> logits) {
  const double peak = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float logit : logits) total += std::exp(logit - peak);
  return peak + std::log(total);
}

std::vector<float> penalised(std::span<const float> logits, double penalty,
                             std::span<const std::int32_t> seen) {
  std::vector<float> row(logits.begin(), logits.end());
  if (penalty == 1.0) return row;
  std::vector<bool> done(row.size(), false);
  for (const std::int32_t index : seen) {
    if (index < 0 || index >= static_cast<std::int64_t>(row.size()) || done[index]) continue;
    done[index] = true;
    row[index] = static_cast<float>(row[index] > 0 ? row[index] / penalty : row[index] * penalty);
  }
  return row;
}

// The surviving candidates, best first, with probabilities that sum to one.
struct Candidates {
  std::vector<std::int32_t> indices;
  std::vector<double> probabilities;

  void keep(std::size_t count) {
    indices.resize(count);
    probabilities.resize(count);
    const double total = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
    for (double& p : probabilities) p /= total;
  }
};

Candidates candidates_of(const std::vector<float>& row, const SamplingSettings& settings) {
  Candidates result;
  for (std::size_t i = 0; i < row.size(); ++i)
    if (row[i] != kNever) result.indices.push_back(static_cast<std::int32_t>(i));
  const auto better = [&](std::int32_t a, std::int32_t b) {
    return row[a] != row[b] ? row[a] > row[b] : a < b;
  };
  if (settings.top_k > 0 && settings.top_k < static_cast<std::int64_t>(result.indices.size())) {
    std::nth_element(result.indices.begin(), result.indices.begin() + settings.top_k, result.indices.end(),
                     better);
    result.indices.resize(settings.top_k);
  }
  std::sort(result.indices.begin(), result.indices.end(), better);
  for (const std::int32_t index : result.indices)
    result.probabilities.push_back(
        std::exp((static_cast<double>(row[index]) - row[result.indices[0]]) / settings.temperature));
  result.keep(result.indices.size());
  return result;
}

void keep_nucleus(Candidates& candidates, double top_p) {
  if (top_p >= 1.0) return;
  double mass = 0;
  std::size_t count = 0;
  while (count < candidates.indices.size() && (count == 0 || mass < top_p))
    mass += candidates.probabilities[count++];
  candidates.keep(count);
}

void keep_likely(Candidates& candidates, double min_p) {
  if (min_p <= 0.0) return;
  const double threshold = min_p * candidates.probabilities[0];
  std::size_t count = 1;
  while (count < candidates.indices.size() && candidates.probabilities[count] >= threshold) ++count;
  candidates.keep(count);
}

}  // namespace

void validate(const SamplingSettings& s) {
  const auto require = [](bool good, std::string_view what) {
    if (!good) fail(ErrorKind::usage, "sampling settings: ", what);
  };
  require(std::isfinite(s.temperature) && s.temperature >= 0, "temperature must be 0 or positive");
  require(s.top_k >= 0, "top-k must be 0 (off) or positive");
  require(s.top_p > 0 && s.top_p <= 1, "top-p must be above 0 and at most 1");
  require(s.min_p >= 0 && s.min_p <= 1, "min-p must be between 0 and 1");
  require(std::isfinite(s.repetition_penalty) && s.repetition_penalty > 0,
          "the repetition penalty must be positive");
}

SampledToken sample_token(std::span<const float> logits, const SamplingSettings& settings,
                          const SamplingKey& key, std::string_view place,
                          std::span<const std::int32_t> seen) {
  validate(settings);
  check_row(logits, place);
  const std::vector<float> row = penalised(logits, settings.repetition_penalty, seen);
  SampledToken token;
  if (settings.temperature == 0) {
    token.index = static_cast<std::int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
  } else {
    Candidates candidates = candidates_of(row, settings);
    keep_nucleus(candidates, settings.top_p);
    keep_likely(candidates, settings.min_p);
    const double target = CounterRng(hash_combine(key.seed, key.sequence), key.step).uniform();
    std::size_t chosen = 0;
    double mass = candidates.probabilities[0];
    while (mass <= target && chosen + 1 < candidates.indices.size())
      mass += candidates.probabilities[++chosen];
    token.index = candidates.indices[chosen];
    token.filtered_log_probability = static_cast<float>(std::log(candidates.probabilities[chosen]));
  }
  token.log_probability = static_cast<float>(logits[token.index] - log_sum(logits));
  return token;
}

std::vector<float> combine_guidance(std::span<const std::span<const float>> rows,
                                    std::span<const double> weights) {
  ensure(!rows.empty() && weights.size() + 1 == rows.size(), "guidance needs one weight per condition");
  for (const auto& row : rows) ensure(row.size() == rows[0].size(), "guidance rows differ in length");
  std::vector<float> result(rows[0].size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    double value = rows[0][i];
    bool never = rows[0][i] == kNever;
    for (std::size_t c = 0; c < weights.size(); ++c) {
      never = never || rows[c + 1][i] == kNever;
      value += weights[c] * (static_cast<double>(rows[c + 1][i]) - rows[c][i]);
    }
    result[i] = never ? kNever : static_cast<float>(value);
  }
  return result;
}

}  // namespace omni::kernels
