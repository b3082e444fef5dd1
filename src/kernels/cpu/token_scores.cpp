#include "token_scores.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "omni/core/error.h"

namespace omni::kernels {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

}  // namespace

void fail_not_finite(std::string_view place) {
  fail(ErrorKind::internal, "sampling at ", place,
       ": the model's logits are not finite. The weights are damaged or training diverged; use an older "
       "checkpoint");
}

TokenScores::TokenScores(const SamplingInput& input) : input_(input) {
  check_input();
  const float* first_row = input.rows[0].data();
  for (const TokenRun& range : input.allowed) {
    if (range.size == 0) continue;
    ranges_[range_count_++] = range;
    count_ += range.size;
  }
  if (input.allowed.empty()) {
    count_ = static_cast<std::int64_t>(input.rows[0].size());
    ranges_[range_count_++] = {0, static_cast<std::int32_t>(count_)};
  }
  if (count_ == 0) fail(ErrorKind::internal, "sampling at ", input.place, ": no token is allowed");
  if (count_ > token_rules::kMaximumRow)
    fail(ErrorKind::internal, "sampling at ", input.place, ": ", count_, " tokens are more than the ",
         token_rules::kMaximumRow, " that can be drawn from");
  if (input.rows.size() > 1) {
    combine();
  } else if (range_count_ == 1) {
    scores_ = first_row + ranges_[0].first;
  } else {
    float* target = own();
    for (std::size_t r = 0; r < range_count_; ++r)
      target = std::copy_n(first_row + ranges_[r].first, ranges_[r].size, target);
  }
}

void TokenScores::check_input() const {
  ensure(!input_.rows.empty() && input_.guidance.size() + 1 == input_.rows.size(),
         "guidance needs one weight per condition");
  for (const auto& row : input_.rows)
    ensure(row.size() == input_.rows[0].size(), "rows of logits differ in length");
  ensure(input_.allowed.size() <= kMaximumTokenRuns, "too many ranges of allowed tokens");
  const auto width = static_cast<std::int64_t>(input_.rows[0].size());
  for (std::size_t i = 0; i < input_.allowed.size(); ++i) {
    const TokenRun& range = input_.allowed[i];
    ensure(range.first >= 0 && range.size >= 0 && std::int64_t{range.first} + range.size <= width,
           "a range of allowed tokens lies outside the logits");
    for (std::size_t j = 0; j < i; ++j) {
      const TokenRun& other = input_.allowed[j];
      ensure(range.size == 0 || other.size == 0 || range.first >= other.first + other.size ||
                 other.first >= range.first + range.size,
             "ranges of allowed tokens overlap");
    }
  }
}

float* TokenScores::own() {
  if (!own_) own_ = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(count_));
  scores_ = own_.get();
  return own_.get();
}

void TokenScores::combine() {
  const std::vector<float> weights(input_.guidance.begin(), input_.guidance.end());
  std::vector<const float*> rows(input_.rows.size());
  float* target = own();
  for (std::size_t r = 0; r < range_count_; ++r) {
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = input_.rows[i].data() + ranges_[r].first;
    if (!token_sampling_kernels().combine(rows.data(), weights.data(),
                                          static_cast<std::int64_t>(weights.size()), ranges_[r].size, target))
      fail_not_finite(input_.place);
    target += ranges_[r].size;
  }
}

std::int32_t TokenScores::token(std::int32_t position) const {
  for (std::size_t r = 0; r < range_count_; ++r) {
    if (position < ranges_[r].size) return ranges_[r].first + position;
    position -= ranges_[r].size;
  }
  fail(ErrorKind::internal, "internal error: a position lies outside the allowed tokens");
}

std::int32_t TokenScores::position(std::int32_t token) const {
  std::int32_t before = 0;
  for (std::size_t r = 0; r < range_count_; ++r) {
    if (token >= ranges_[r].first && token - ranges_[r].first < ranges_[r].size)
      return before + token - ranges_[r].first;
    before += ranges_[r].size;
  }
  return -1;
}

void TokenScores::penalise(double penalty) {
  for (const std::int32_t token : input_.seen)
    if (const std::int32_t where = position(token); where >= 0)
      before_penalty_.emplace_back(where, scores_[where]);
  std::sort(before_penalty_.begin(), before_penalty_.end());
  before_penalty_.erase(std::unique(before_penalty_.begin(), before_penalty_.end()), before_penalty_.end());
  if (before_penalty_.empty()) return;
  const float* source = scores_;
  const bool shared = !own_;
  float* target = own();
  if (shared) std::copy_n(source, count_, target);
  for (const auto& [where, score] : before_penalty_)
    target[where] = token_rules::penalise(score, static_cast<float>(penalty));
}

float TokenScores::unpenalised(std::int32_t position) const {
  const auto found =
      std::lower_bound(before_penalty_.begin(), before_penalty_.end(), std::pair(position, kNever));
  return found != before_penalty_.end() && found->first == position ? found->second : scores_[position];
}

SurveyedScores::SurveyedScores(const TokenScores& scores, std::int64_t block, std::string_view place)
    : scores_(&scores), block_(block), maxima_((scores.count() + block - 1) / block) {
  if (!token_sampling_kernels().survey(scores.data(), scores.count(), block, maxima_.data()))
    fail_not_finite(place);
  peak_ = *std::max_element(maxima_.begin(), maxima_.end());
  if (peak_ == kNever) fail(ErrorKind::internal, "sampling at ", place, ": every token is excluded");
}

std::uint64_t SurveyedScores::total_weight(double temperature) {
  if (temperature != last_temperature_) {
    last_temperature_ = temperature;
    last_total_ = token_sampling_kernels().total(scores_->data(), scores_->count(), peak_,
                                                 token_rules::scale_of(temperature));
  }
  return last_total_;
}

double SurveyedScores::log_sum() const {
  return peak_ + std::log(token_sampling_kernels().exponential_sum(scores_->data(), scores_->count(), peak_));
}

CandidateList SurveyedScores::at_least(float bound) const {
  // -inf is no candidate.
  const float limit = std::max(bound, std::numeric_limits<float>::lowest());
  const std::int64_t count = scores_->count();
  constexpr std::int64_t kSlack = 16;  // see TokenSamplingKernels::gather
  std::int64_t room = kSlack;
  for (std::size_t b = 0; b < maxima_.size(); ++b)
    if (maxima_[b] >= limit) room += std::min(block_, count - static_cast<std::int64_t>(b) * block_);
  const auto found = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(room));
  const auto places = std::make_unique_for_overwrite<std::int32_t[]>(static_cast<std::size_t>(room));
  std::int64_t kept = 0;
  for (std::size_t b = 0; b < maxima_.size(); ++b) {
    if (!(maxima_[b] >= limit)) continue;
    const std::int64_t first = static_cast<std::int64_t>(b) * block_;
    kept += token_sampling_kernels().gather(scores_->data() + first, std::min(block_, count - first), limit,
                                            static_cast<std::int32_t>(first), found.get() + kept,
                                            places.get() + kept);
  }
  CandidateList list;
  list.scores.assign(found.get(), found.get() + kept);
  list.indices.assign(places.get(), places.get() + kept);
  return list;
}

CandidateList SurveyedScores::first(std::int64_t count) const {
  // At least `count` scores reach the count-th largest block maximum.
  float bound = kNever;
  if (count <= static_cast<std::int64_t>(maxima_.size())) {
    std::vector<float> ordered = maxima_;
    std::nth_element(ordered.begin(), ordered.begin() + (count - 1), ordered.end(), std::greater<>());
    bound = ordered[static_cast<std::size_t>(count - 1)];
  }
  CandidateList list = at_least(bound);
  if (static_cast<std::int64_t>(list.size()) <= count) return list;
  return prefix_of(list, find_cut(list, CutMeasure::count, static_cast<std::uint64_t>(count)));
}

}  // namespace omni::kernels
