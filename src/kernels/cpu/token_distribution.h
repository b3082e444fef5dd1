#pragma once

#include "omni/kernels/token_sampling.h"
#include "token_scores.h"

namespace omni::kernels {

// The distribution behind one draw: which candidates are left after the filters, and what they weigh. Only as
// many candidates are looked at one by one as the filters, or else the draw, can reach.
class TokenDistribution {
 public:
  // temperature > 0. The scores must outlive this.
  TokenDistribution(SurveyedScores& scores, const SamplingSettings& settings);

  struct Drawn {
    std::int32_t position = 0;  // in the scores
    double log_probability = 0;
  };
  Drawn draw(std::uint64_t random_bits) const;

  std::uint64_t mass() const { return mass_; }
  // All that can be drawn, in the order of the scores. Without filters this visits every score.
  const CandidateList& candidates();

 private:
  void weigh(CandidateList& list) const;
  void set_list(CandidateList list);
  CandidateList prefix(std::uint64_t needed) const;  // at least the first candidates up to that mass
  void keep_nucleus();
  void keep_likely();

  const SurveyedScores& scores_;
  const SamplingSettings& settings_;
  token_rules::Scale scale_;
  CandidateList list_;  // what is left, once a filter or candidates() has listed it
  bool listed_ = false;
  std::uint64_t mass_ = 0;
};

}  // namespace omni::kernels
