#pragma once

#include <cmath>

#include "../token_rules.h"
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

}  // namespace omni::kernels
