#pragma once

#include <array>
#include <cmath>
#include <span>

#include "../token_rules.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/kernels/token_sampling.h"
#include "token_sampling_interface.h"

namespace omni::kernels {

// Settings and key in the form that the GPU reads.
inline OmniCudaSamplingRow cuda_sampling_row(const SamplingSettings& settings, const SamplingKey& key) {
  OmniCudaSamplingRow row{};
  row.temperature = settings.temperature;
  row.has_min_p = settings.min_p > 0;
  row.min_p_reach = row.has_min_p ? settings.temperature * std::log(settings.min_p) : 0;
  row.has_top_p = settings.top_p < 1;
  row.top_p_share = row.has_top_p ? token_rules::share_from(settings.top_p) : 0;
  row.random_seed = hash_combine(key.seed, key.sequence);
  row.step = key.step;
  if (settings.temperature > 0) {
    const token_rules::Scale scale = token_rules::scale_of(settings.temperature);
    row.scale_high = scale.high;
    row.scale_low = scale.low;
  }
  row.penalty = static_cast<float>(settings.repetition_penalty);
  row.top_k = settings.top_k <= token_rules::kMaximumRow ? static_cast<std::int32_t>(settings.top_k) : 0;
  return row;
}

// Allowed tokens in that form; none: the whole row. Throws Error(internal) for runs outside it, that overlap,
// or that are too many.
using CudaSamplingRanges = std::array<std::int32_t, std::size_t{2} * kOmniCudaMostRanges>;
inline CudaSamplingRanges cuda_sampling_ranges(std::span<const TokenRun> allowed, std::int64_t vocabulary) {
  ensure(allowed.size() <= kOmniCudaMostRanges, "too many ranges of allowed tokens");
  CudaSamplingRanges ranges{};
  if (allowed.empty()) ranges[1] = static_cast<std::int32_t>(vocabulary);
  for (std::size_t r = 0; r < allowed.size(); ++r) {
    const TokenRun& own = allowed[r];
    ensure(own.first >= 0 && own.size >= 0 && std::int64_t{own.first} + own.size <= vocabulary,
           "a range of allowed tokens lies outside the logits");
    for (const TokenRun& other : allowed.first(r))
      ensure(own.size == 0 || other.size == 0 || own.first >= other.first + other.size ||
                 other.first >= own.first + own.size,
             "ranges of allowed tokens overlap");
    ranges[2 * r] = own.first;
    ranges[2 * r + 1] = own.size;
  }
  return ranges;
}

}  // namespace omni::kernels
