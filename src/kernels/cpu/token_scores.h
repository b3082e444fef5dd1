#pragma once

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "omni/kernels/token_sampling.h"
#include "token_cut.h"
#include "token_sampling_kernels.h"

namespace omni::kernels {

// The scores of the allowed tokens of one input, side by side: position p is the p-th allowed token. Guided,
// but before the repetition penalty until penalise() is called.
class TokenScores {
 public:
  // Throws Error(internal), naming the place, where the input is no set of scores to draw from.
  explicit TokenScores(const SamplingInput& input);

  std::int64_t count() const { return count_; }
  const float* data() const { return scores_; }
  std::int32_t token(std::int32_t position) const;
  float unpenalised(std::int32_t position) const;
  void penalise(double penalty);

 private:
  std::int32_t position(std::int32_t token) const;  // -1: not allowed
  void check_input() const;
  void combine();
  float* own();

  const SamplingInput& input_;
  std::array<TokenRun, kMaximumTokenRuns> ranges_{};
  std::size_t range_count_ = 0;
  std::int64_t count_ = 0;
  const float* scores_ = nullptr;  // in the input or in own_
  std::unique_ptr<float[]> own_;
  std::vector<std::pair<std::int32_t, float>> before_penalty_;  // position and score, ascending
};

// The error for logits that are NaN or +inf.
[[noreturn]] void fail_not_finite(std::string_view place);

// The same with the largest score of every block, to find the best candidates without looking at the others.
class SurveyedScores {
 public:
  SurveyedScores(const TokenScores& scores, std::int64_t block, std::string_view place);

  float peak() const { return peak_; }
  std::int64_t count() const { return scores_->count(); }
  std::uint64_t total_weight(double temperature);  // remembers the last answer
  double log_sum() const;                          // of the exponentials of all scores
  // Candidates at or above the bound, without weights.
  CandidateList at_least(float bound) const;
  // The first `count` candidates in sampling order (fewer where there are fewer), without weights.
  CandidateList first(std::int64_t count) const;

 private:
  const TokenScores* scores_;
  std::int64_t block_;
  std::vector<float> maxima_;
  float peak_;
  double last_temperature_ = 0;  // 0: none yet
  std::uint64_t last_total_ = 0;
};

}  // namespace omni::kernels
