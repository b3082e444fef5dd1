#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace omni::generation {

// Of the draws of each sample, which come one after the other, the most probable one. A draw has the members
// `request`, `sample_number` (of the draw; the sample's is left in it), `log_probability` and `drawing_seconds` (the
// sample's are those of all its draws). A sample some of whose draws are missing does not come.
template <class Draw>
class BestDraws {
 public:
  // `draws_each`: how many there are of each sample of a request.
  explicit BestDraws(std::function<std::int64_t(std::size_t request)> draws_each)
      : draws_each_(std::move(draws_each)) {}

  // The samples whose last draw is among these.
  std::vector<Draw> add(std::span<Draw> draws) {
    std::vector<Draw> samples;
    for (Draw& draw : draws) {
      const auto draws_each = static_cast<std::uint64_t>(draws_each_(draw.request));
      const std::uint64_t sample = draw.sample_number / draws_each, number = draw.sample_number % draws_each;
      if (number == 0) {
        seen_ = 0;
        sample_ = {draw.request, sample};
      }
      if (number != seen_ || sample_ != std::pair(draw.request, sample)) continue;
      ++seen_;
      const double seconds = draw.drawing_seconds + (number == 0 ? 0 : best_.drawing_seconds);
      if (number == 0 || draw.log_probability > best_.log_probability) best_ = std::move(draw);
      best_.drawing_seconds = seconds;
      if (number + 1 < draws_each) continue;
      best_.sample_number = sample;
      samples.push_back(std::move(best_));
    }
    return samples;
  }

 private:
  std::function<std::int64_t(std::size_t)> draws_each_;
  Draw best_;                                     // so far, of the sample in hand
  std::pair<std::size_t, std::uint64_t> sample_;  // that one: its request and number
  std::uint64_t seen_ = 0;                        // of its draws, without a gap
};

}  // namespace omni::generation
