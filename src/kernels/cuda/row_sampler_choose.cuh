#pragma once

#include "row_sampler.cuh"

namespace omni::cuda {

// False, with the failure written, where there is nothing to draw.
template <int kThreads, class T>
__device__ bool RowSampler<kThreads, T>::merge_parts() {
  const SamplingWorkspace& work = launch_.workspace;
  unsigned fault = 0, plain_peak = 0;
  for (int part = 0; part < launch_.parts; ++part) {
    const std::int64_t index = part_index(part);
    fault |= work.faults[index];
    peak_key_ = max(peak_key_, work.peaks[index]);
    plain_peak = max(plain_peak, work.plain_peaks[index]);
  }
  if (fault != 0 || peak_key_ < kMinimumKey) {
    write_failure(fault != 0 ? kOmniCudaNotFinite : kOmniCudaNoToken);
    return false;
  }
  peak_ = rules::score_of(peak_key_);
  const double reference = rules::score_of(plain_peak);
  double total = 0;
  for (int part = 0; part < launch_.parts; ++part) {
    const std::int64_t index = part_index(part);
    if (work.plain_peaks[index] < kMinimumKey) continue;
    const double below = static_cast<double>(rules::score_of(work.plain_peaks[index])) - reference;
    total += static_cast<double>(work.plain_masses[index]) * exp(below);
  }
  plain_log_sum_ = reference + log(total) - rules::kWeightBits * 0.6931471805599453;
  return true;
}

template <int kThreads, class T>
__device__ void RowSampler<kThreads, T>::list(unsigned low, unsigned high) {
  SamplingShared& s = memory_.row;
  __syncthreads();
  if (threadIdx.x == 0) s.list_count = 0;
  __syncthreads();
  for_each_score([&](unsigned key, int position) {
    if (key < low || key > high) return;
    const unsigned place = atomicAdd(&s.list_count, 1u);
    if (place >= kListCapacity) return;
    memory_.list_keys[place] = key;
    memory_.list_positions[place] = position;
  });
  __syncthreads();
  const bool complete = s.list_count <= kListCapacity;
  list_low_ = complete ? low : 1;
  list_high_ = complete ? high : 0;
}

// The key at which the candidates from the best one on reach `needed`, all of them above `low`.
template <int kThreads, class T>
__device__ KeyRange RowSampler<kThreads, T>::select(unsigned low, bool by_mass, Mass needed) {
  KeyRange range;
  range.low = low;
  range.high = peak_key_;
  do {
    if (!listed(range.low, range.high) && (range.count <= kListCapacity || range.count == KeyRange().count))
      list(range.low, range.high);
    narrow<kThreads>(
        memory_.select, range, by_mass, needed,
        [&](const auto& f) { for_each_candidate(range.low, range.high, [&](unsigned key, int) { f(key); }); },
        [&](unsigned key) { return weight(key); });
  } while (!range.settled());
  return range;
}

// At least `count` candidates reach the count-th largest of the threads' maxima.
template <int kThreads, class T>
__device__ unsigned RowSampler<kThreads, T>::bound_for_count(unsigned count) {
  const float* maxima = launch_.workspace.maxima + part_index(0) * kThreads;
  const unsigned threads = static_cast<unsigned>(launch_.parts) * kThreads;
  if (count > threads) return kMinimumKey;
  KeyRange range;
  range.high = peak_key_;
  do {
    narrow<kThreads>(
        memory_.select, range, false, count,
        [&](const auto& f) {
          for (unsigned i = threadIdx.x; i < threads; i += kThreads) f(rules::key_of(maxima[i]));
        },
        [](unsigned) { return Mass{0}; });
  } while (!range.settled());
  return max(range.low, kMinimumKey);
}

// Candidates that weigh no more than an equal share of the rest of the mass cannot be needed.
template <int kThreads, class T>
__device__ unsigned RowSampler<kThreads, T>::bound_for_mass(Mass total, Mass needed) const {
  const Mass share = (total - needed) / static_cast<Mass>(memory_.row.count);
  return rules::key_of(rules::score_bound(peak_, settings_.temperature, share));
}

template <int kThreads, class T>
__device__ Mass RowSampler<kThreads, T>::mass_down_to(unsigned least) {
  Mass mass = 0;
  for_each_candidate(least, peak_key_, [&](unsigned key, int) {
    if (key >= least) mass += weight(key);
  });
  return block_sum<kThreads>(mass, memory_.select.warp_masses);
}

// The position of the which-th candidate (from 1) with this key.
template <int kThreads, class T>
__device__ int RowSampler<kThreads, T>::tied_position(unsigned tied, Mass which) {
  if (!listed(tied, tied)) list(tied, tied);
  KeyRange range;  // of complements of positions, so that the first one has the largest key
  range.low = ~static_cast<unsigned>(memory_.row.count - 1);
  range.high = ~0u;
  do {
    narrow<kThreads>(
        memory_.select, range, false, which,
        [&](const auto& f) {
          for_each_candidate(tied, tied, [&](unsigned key, int position) {
            if (key == tied) f(~static_cast<unsigned>(position));
          });
        },
        [](unsigned) { return Mass{0}; });
  } while (!range.settled());
  return static_cast<int>(~range.low);
}

template <int kThreads, class T>
__device__ typename RowSampler<kThreads, T>::Kept RowSampler<kThreads, T>::filter() {
  Kept kept;
  const auto cut_at = [&](const KeyRange& range, bool by_mass, Mass needed) {
    const Mass each = weight(range.low);
    const Mass ties = by_mass ? (needed - range.mass_above + each - 1) / each : needed - range.count_above;
    kept.minimum_key = range.low;
    kept.mass = range.mass_above + ties * each;
    kept.cut = true;
  };
  const auto top_k = static_cast<unsigned>(settings_.top_k);
  if (top_k > 0 && top_k < static_cast<unsigned>(memory_.row.count)) {
    const KeyRange range = select(bound_for_count(top_k), false, top_k);
    if (range.found) cut_at(range, false, top_k);
  }
  if (!kept.cut) kept.mass = mass_down_to(kMinimumKey);
  if (settings_.has_top_p) {
    const Mass share = rules::share_of(kept.mass, settings_.top_p_share), needed = share > 0 ? share : 1;
    const unsigned low = kept.cut ? kept.minimum_key : bound_for_mass(kept.mass, needed);
    cut_at(select(low, true, needed), true, needed);
  }
  if (settings_.has_min_p) {
    const unsigned least = rules::key_of(rules::minimum_score(peak_, settings_.min_p_reach));
    if (!kept.cut || least > kept.minimum_key) {
      kept.minimum_key = max(least, kMinimumKey);
      kept.mass = mass_down_to(kept.minimum_key);
      kept.cut = true;
    }
  }
  return kept;
}

template <int kThreads, class T>
__device__ void RowSampler<kThreads, T>::write_failure(OmniCudaSamplingStatus status) {
  if (threadIdx.x == 0) {
    args_.statuses[row_] = status;
    args_.tokens[row_] = -1;
    args_.log_probabilities[row_] = args_.filtered_log_probabilities[row_] = 0;
  }
  for (int i = threadIdx.x; i < args_.likely_count; i += kThreads) {
    args_.likely_tokens[row_ * args_.likely_count + i] = -1;
    args_.likely_log_probabilities[row_ * args_.likely_count + i] = 0;
  }
}

template <int kThreads, class T>
__device__ void RowSampler<kThreads, T>::write_token(int position, float filtered) {
  if (threadIdx.x != 0) return;
  const int token = token_of(position);
  args_.statuses[row_] = kOmniCudaSampled;
  args_.tokens[row_] = token;
  args_.log_probabilities[row_] = static_cast<float>(scores_[position] - plain_log_sum_);
  args_.filtered_log_probabilities[row_] = filtered;
  args_.rows[row_].step = settings_.step + 1;
  if (args_.seen)
    args_.seen[static_cast<std::int64_t>(row_) * ((args_.vocabulary + 31) / 32) + token / 32] |=
        1u << (token % 32);
}

// The first candidates in order: at most kOmniCudaMostLikely, each finds its rank among the others.
template <int kThreads, class T>
__device__ void RowSampler<kThreads, T>::write_likely() {
  const auto wanted = static_cast<unsigned>(args_.likely_count);
  if (wanted == 0) return;
  const KeyRange range = select(bound_for_count(wanted), false, wanted);
  const unsigned least = range.found ? range.low : kMinimumKey;
  const int last = range.found ? tied_position(least, wanted - range.count_above) : 0;
  SamplingShared& s = memory_.row;
  if (threadIdx.x == 0) s.answer = 0;
  __syncthreads();
  unsigned* keys = memory_.select.counts;
  unsigned* positions = memory_.select.low;
  for_each_candidate(least, peak_key_, [&](unsigned key, int position) {
    if (key < least || (range.found && key == least && position > last)) return;
    const unsigned place = atomicAdd(&s.answer, 1u);
    keys[place] = key;
    positions[place] = static_cast<unsigned>(position);
  });
  __syncthreads();
  if (threadIdx.x >= wanted) return;
  const unsigned count = s.answer, t = threadIdx.x;
  std::int32_t* tokens = args_.likely_tokens + static_cast<std::int64_t>(row_) * wanted;
  float* logs = args_.likely_log_probabilities + static_cast<std::int64_t>(row_) * wanted;
  if (t >= count) {
    tokens[t] = -1;
    logs[t] = 0;
    return;
  }
  unsigned rank = 0;
  for (unsigned i = 0; i < count; ++i)
    rank += keys[i] > keys[t] || (keys[i] == keys[t] && positions[i] < positions[t]);
  const int position = static_cast<int>(positions[t]);
  tokens[rank] = token_of(position);
  logs[rank] = static_cast<float>(scores_[position] - plain_log_sum_);
}

template <int kThreads, class T>
__device__ void RowSampler<kThreads, T>::choose() {
  if (!merge_parts()) return;
  unsigned key = peak_key_;
  Mass which = 1;
  double filtered = 0;
  if (settings_.temperature != 0) {
    const Kept kept = filter();
    const Mass needed =
        rules::multiply_high(rules::random_bits(settings_.random_seed, settings_.step), kept.mass) + 1;
    const unsigned low = kept.cut ? kept.minimum_key : bound_for_mass(kept.mass, needed);
    const KeyRange range = select(low, true, needed);
    const Mass each = weight(range.low);
    key = range.low;
    which = (needed - range.mass_above + each - 1) / each;
    const double below = static_cast<double>(rules::score_of(key)) - static_cast<double>(peak_);
    filtered = below / settings_.temperature - rules::log_mass(kept.mass);
  }
  const int position = tied_position(key, which);
  write_likely();
  write_token(position, static_cast<float>(filtered));
}

}  // namespace omni::cuda
