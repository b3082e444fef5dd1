#include "token_distribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace omni::kernels {
TokenDistribution::TokenDistribution(SurveyedScores& scores, const SamplingSettings& settings)
    : scores_(scores), settings_(settings), scale_(token_rules::scale_of(settings.temperature)) {
  if (settings.top_k > 0 && settings.top_k < scores.count()) {
    CandidateList first = scores.first(settings.top_k);
    weigh(first);
    set_list(std::move(first));
  } else {
    mass_ = scores.total_weight(settings.temperature);
  }
  if (settings.top_p < 1) keep_nucleus();
  if (settings.min_p > 0) keep_likely();
}

void TokenDistribution::weigh(CandidateList& list) const {
  list.weights.resize(list.size());
  token_sampling_kernels().weigh(list.scores.data(), static_cast<std::int64_t>(list.size()), scores_.peak(),
                                 scale_, list.weights.data());
}

void TokenDistribution::set_list(CandidateList list) {
  list_ = std::move(list);
  mass_ = std::accumulate(list_.weights.begin(), list_.weights.end(), std::uint64_t{0});
  listed_ = true;
}

// Candidates that weigh no more than an equal share of the rest of the mass cannot be needed.
CandidateList TokenDistribution::prefix(std::uint64_t needed) const {
  const std::uint64_t share = (mass_ - needed) / static_cast<std::uint64_t>(scores_.count());
  CandidateList list =
      scores_.at_least(token_rules::score_bound(scores_.peak(), settings_.temperature, share));
  weigh(list);
  return list;
}

void TokenDistribution::keep_nucleus() {
  const std::uint64_t needed =
      std::max<std::uint64_t>(1, token_rules::share_of(mass_, token_rules::share_from(settings_.top_p)));
  const CandidateList list = listed_ ? std::move(list_) : prefix(needed);
  set_list(prefix_of(list, find_cut(list, CutMeasure::mass, needed)));
}

void TokenDistribution::keep_likely() {
  const float least =
      token_rules::minimum_score(scores_.peak(), settings_.temperature * std::log(settings_.min_p));
  if (!listed_) {
    CandidateList list = scores_.at_least(least);
    weigh(list);
    set_list(std::move(list));
  } else {
    set_list(prefix_of(list_, {token_rules::key_of(least), list_.size()}));
  }
}

TokenDistribution::Drawn TokenDistribution::draw(std::uint64_t random_bits) const {
  const std::uint64_t needed = token_rules::multiply_high(random_bits, mass_) + 1;
  CandidateList own;
  if (!listed_) own = prefix(needed);
  const CandidateList& list = listed_ ? list_ : own;
  const std::size_t chosen = last_of_prefix(list, find_cut(list, CutMeasure::mass, needed));
  const double below = static_cast<double>(list.scores[chosen]) - static_cast<double>(scores_.peak());
  return {list.indices[chosen], below / settings_.temperature - token_rules::log_mass(mass_)};
}

const CandidateList& TokenDistribution::candidates() {
  if (!listed_) set_list(prefix(mass_));
  return list_;
}

}  // namespace omni::kernels
