#pragma once

#include <cmath>
#include <cstdint>

#include "../token_rules.h"
#include "numeric.cuh"
#include "token_sampling.h"
#include "token_select.cuh"

// One launch samples a batch. A row of logits is split over `parts` blocks, which guide the scores and note
// their largest; the block that finishes a row last chooses its token, from the few candidates that the
// filters can reach.
namespace omni::cuda {

namespace rules = kernels::token_rules;

constexpr float kInfinity = INFINITY;
constexpr int kListCapacity = 4096;          // candidates that a block holds in shared memory
constexpr int kBatch = 8;                    // scores that a thread loads before it looks at the first
constexpr unsigned kLeastKey = 0x00800000u;  // of the lowest finite score

// Where the parts of all rows leave what they found.
struct SamplingWorkspace {
  unsigned* finished;     // [batch] parts that are done; zero between launches
  unsigned* peaks;        // [batch, parts] keys of the largest score, under the penalty
  unsigned* plain_peaks;  // [batch, parts] before it
  Mass* plain_masses;     // [batch, parts] weights before the penalty, relative to the part's plain peak
  unsigned* faults;       // [batch, parts] whether there was NaN or +inf
  float* maxima;          // [batch, parts, threads] of each thread's scores, under the penalty
  float* scores;          // [batch, vocabulary] guided, before the penalty
};

struct SamplingLaunch {
  OmniCudaTokenSampling arguments;
  SamplingWorkspace workspace;
  int parts;
};

struct SamplingShared {
  int range_first[kOmniCudaMostRanges], range_size[kOmniCudaMostRanges];
  int count;  // allowed tokens
  unsigned list_count;
  unsigned answer;
  bool is_last;
};

// The dynamic shared memory of a block.
template <int kThreads>
struct SamplingMemory {
  SelectShared<kThreads> select;
  SamplingShared row;
  unsigned list_keys[kListCapacity];
  int list_positions[kListCapacity];
};

// One row of the batch as a block sees it. Position p is the p-th allowed token.
template <int kThreads, class T>
class RowSampler {
 public:
  __device__ RowSampler(const SamplingLaunch& launch, SamplingMemory<kThreads>& memory, int row)
      : args_(launch.arguments), launch_(launch), memory_(memory), row_(row), settings_(args_.rows[row]) {
    read_ranges();
    const SamplingWorkspace& work = launch.workspace;
    scores_ = work.scores + static_cast<std::int64_t>(row) * args_.vocabulary;
    scale_.high = settings_.scale_high;
    scale_.low = settings_.scale_low;
    if (args_.seen && settings_.penalty != 1.0f)
      seen_ = args_.seen + static_cast<std::int64_t>(row) * ((args_.vocabulary + 31) / 32);
  }

  // Guides this block's part of the scores. Returns whether this block is to choose the token.
  __device__ bool prepare(int part);
  __device__ void choose();

 private:
  // What the filters have left: the candidates down to a key.
  struct Kept {
    unsigned least_key = 0;
    Mass mass = 0;
    bool cut = false;
  };

  __device__ void read_ranges();
  __device__ int token_of(int position) const;
  __device__ float logit(int condition, int token) const {
    const T* logits = static_cast<const T*>(args_.logits);
    return to_float(logits[condition * args_.condition_stride + row_ * args_.row_stride + token]);
  }
  __device__ float guided(int token, bool& fault) const;
  __device__ float penalised(float score, int position) const;
  __device__ std::int64_t part_index(int part) const {
    return static_cast<std::int64_t>(row_) * launch_.parts + part;
  }
  __device__ Mass weight(unsigned key) const { return rules::weight_of(rules::score_of(key), peak_, scale_); }

  template <class F>
  __device__ void for_each_score(const F& f) const {
    const int count = memory_.row.count;
    for (int first = threadIdx.x; first < count; first += kBatch * kThreads) {
      float scores[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int p = first + i * kThreads;
        scores[i] = p < count ? scores_[p] : -kInfinity;
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int p = first + i * kThreads;
        const unsigned key = p < count ? rules::key_of(penalised(scores[i], p)) : 0;
        if (key >= kLeastKey) f(key, p);
      }
    }
  }
  // Candidates with keys in [low, high], from the list where it holds them all.
  template <class F>
  __device__ void for_each_candidate(unsigned low, unsigned high, const F& f) const {
    if (listed(low, high)) {
      for (unsigned i = threadIdx.x; i < memory_.row.list_count; i += kThreads)
        f(memory_.list_keys[i], memory_.list_positions[i]);
    } else {
      for_each_score(f);
    }
  }
  __device__ bool listed(unsigned low, unsigned high) const { return low >= list_low_ && high <= list_high_; }
  __device__ void list(unsigned low, unsigned high);

  __device__ bool merge_parts();
  __device__ KeyRange select(unsigned low, bool by_mass, Mass needed);
  __device__ unsigned bound_for_count(unsigned count);
  __device__ unsigned bound_for_mass(Mass total, Mass needed) const;
  __device__ Mass mass_down_to(unsigned key);
  __device__ int tied_position(unsigned key, Mass which);
  __device__ Kept filter();
  __device__ void write_token(int position, float filtered);
  __device__ void write_likely();
  __device__ void write_failure(OmniCudaSamplingStatus status);

  const OmniCudaTokenSampling& args_;
  const SamplingLaunch& launch_;
  SamplingMemory<kThreads>& memory_;
  const int row_;
  const OmniCudaSamplingRow& settings_;
  float* scores_;
  const std::uint32_t* seen_ = nullptr;  // null: no penalty
  rules::Scale scale_;
  unsigned peak_key_ = 0;
  float peak_ = 0;
  double plain_log_sum_ = 0;
  unsigned list_low_ = 1, list_high_ = 0;  // keys that the list holds completely
};

template <int kThreads, class T>
__device__ void RowSampler<kThreads, T>::read_ranges() {
  SamplingShared& s = memory_.row;
  if (threadIdx.x == 0) {
    s.count = 0;
    for (int r = 0; r < kOmniCudaMostRanges; ++r) {
      const bool whole = !args_.ranges;
      const std::int32_t* range =
          args_.ranges + (static_cast<std::int64_t>(row_) * kOmniCudaMostRanges + r) * 2;
      s.range_first[r] = whole ? 0 : range[0];
      s.range_size[r] = whole ? (r == 0 ? args_.vocabulary : 0) : range[1];
      s.count += s.range_size[r];
    }
  }
  __syncthreads();
}

template <int kThreads, class T>
__device__ int RowSampler<kThreads, T>::token_of(int position) const {
  int r = 0;
  while (position >= memory_.row.range_size[r]) position -= memory_.row.range_size[r++];
  return memory_.row.range_first[r] + position;
}

template <int kThreads, class T>
__device__ float RowSampler<kThreads, T>::guided(int token, bool& fault) const {
  float before = logit(0, token), score = before;
  bool never = before == -kInfinity;
  fault = fault || !(before < kInfinity);
  for (int c = 0; c < args_.conditions; ++c) {
    const float with = logit(c + 1, token);
    never = never || with == -kInfinity;
    fault = fault || !(with < kInfinity);
    score = rules::guide(score, with, before, args_.guidance[row_ * args_.conditions + c]);
    before = with;
  }
  return never ? -kInfinity : score;
}

template <int kThreads, class T>
__device__ float RowSampler<kThreads, T>::penalised(float score, int position) const {
  if (!seen_) return score;
  const int token = token_of(position);
  return seen_[token / 32] >> (token % 32) & 1u ? rules::penalise(score, settings_.penalty) : score;
}

template <int kThreads, class T>
__device__ bool RowSampler<kThreads, T>::prepare(int part) {
  SamplingShared& s = memory_.row;
  const int size = (s.count + launch_.parts - 1) / launch_.parts;
  const int first = min(s.count, part * size), last = min(s.count, first + size);
  bool fault = false;
  float largest = -kInfinity, plain_largest = -kInfinity;
  for (int start = first + static_cast<int>(threadIdx.x); start < last; start += kBatch * kThreads) {
    float scores[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      const int p = start + i * kThreads;
      scores[i] = p < last ? guided(token_of(p), fault) : -kInfinity;
    }
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      const int p = start + i * kThreads;
      if (p >= last) break;
      const float own = penalised(scores[i], p);
      fault = fault || !(scores[i] < kInfinity) || !(own < kInfinity);
      scores_[p] = scores[i];
      largest = own > largest ? own : largest;
      plain_largest = scores[i] > plain_largest ? scores[i] : plain_largest;
    }
  }
  const std::int64_t index = part_index(part);
  const SamplingWorkspace& work = launch_.workspace;
  work.maxima[index * kThreads + threadIdx.x] = largest;
  unsigned* keys = memory_.select.counts;  // of warps
  const unsigned peak = __reduce_max_sync(kAllLanes, rules::key_of(largest));
  const unsigned plain_peak = __reduce_max_sync(kAllLanes, rules::key_of(plain_largest));
  if (threadIdx.x % 32 == 0) {
    keys[threadIdx.x / 32] = peak;
    keys[kThreads / 32 + threadIdx.x / 32] = plain_peak;
  }
  const bool any_fault = __syncthreads_or(fault);
  unsigned block_peak = 0, block_plain_peak = 0;
  for (int i = 0; i < kThreads / 32; ++i) {
    block_peak = max(block_peak, keys[i]);
    block_plain_peak = max(block_plain_peak, keys[kThreads / 32 + i]);
  }

  Mass mass = 0;
  const float reference = rules::score_of(block_plain_peak);
  const rules::Scale unit = rules::scale_of(1.0);
  if (block_plain_peak >= kLeastKey && !any_fault)
    for (int p = first + static_cast<int>(threadIdx.x); p < last; p += kThreads)
      mass += rules::weight_of(scores_[p], reference, unit);
  mass = block_sum<kThreads>(mass, memory_.select.warp_masses);

  if (threadIdx.x == 0) {
    work.peaks[index] = block_peak;
    work.plain_peaks[index] = block_plain_peak;
    work.plain_masses[index] = mass;
    work.faults[index] = any_fault;
  }
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    const unsigned before = atomicAdd(&work.finished[row_], 1u);
    s.is_last = before + 1 == static_cast<unsigned>(launch_.parts);
    if (s.is_last) work.finished[row_] = 0;
  }
  __syncthreads();
  __threadfence();
  return s.is_last;
}

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
  if (fault != 0 || peak_key_ < kLeastKey) {
    write_failure(fault != 0 ? kOmniCudaNotFinite : kOmniCudaNoToken);
    return false;
  }
  peak_ = rules::score_of(peak_key_);
  const double reference = rules::score_of(plain_peak);
  double total = 0;
  for (int part = 0; part < launch_.parts; ++part) {
    const std::int64_t index = part_index(part);
    if (work.plain_peaks[index] < kLeastKey) continue;
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
  if (count > threads) return kLeastKey;
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
  return max(range.low, kLeastKey);
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
    kept.least_key = range.low;
    kept.mass = range.mass_above + ties * each;
    kept.cut = true;
  };
  const auto top_k = static_cast<unsigned>(settings_.top_k);
  if (top_k > 0 && top_k < static_cast<unsigned>(memory_.row.count)) {
    const KeyRange range = select(bound_for_count(top_k), false, top_k);
    if (range.found) cut_at(range, false, top_k);
  }
  if (!kept.cut) kept.mass = mass_down_to(kLeastKey);
  if (settings_.has_top_p) {
    const Mass share = rules::share_of(kept.mass, settings_.top_p_share), needed = share > 0 ? share : 1;
    const unsigned low = kept.cut ? kept.least_key : bound_for_mass(kept.mass, needed);
    cut_at(select(low, true, needed), true, needed);
  }
  if (settings_.has_min_p) {
    const unsigned least = rules::key_of(rules::least_score(peak_, settings_.min_p_reach));
    if (!kept.cut || least > kept.least_key) {
      kept.least_key = max(least, kLeastKey);
      kept.mass = mass_down_to(kept.least_key);
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
  const unsigned least = range.found ? range.low : kLeastKey;
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
    const unsigned low = kept.cut ? kept.least_key : bound_for_mass(kept.mass, needed);
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

template <int kThreads, class T>
__global__ void __launch_bounds__(kThreads, 1) sample_tokens(const SamplingLaunch launch) {
  OMNI_SHARED(SamplingMemory<kThreads>, memory);
  RowSampler<kThreads, T> sampler(launch, *memory, static_cast<int>(blockIdx.y));
  if (sampler.prepare(static_cast<int>(blockIdx.x))) sampler.choose();
}

}  // namespace omni::cuda
