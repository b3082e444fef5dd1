#pragma once

#include <cmath>
#include <cstdint>

#include "../token_rules.h"
#include "numeric.cuh"
#include "token_sampling_interface.h"
#include "token_select.cuh"

namespace omni::cuda {

namespace rules = kernels::token_rules;

constexpr float kInfinity = INFINITY;
constexpr int kListCapacity = 4096;            // candidates that a block holds in shared memory
constexpr int kBatch = 8;                      // scores that a thread loads before it looks at the first
constexpr unsigned kMinimumKey = 0x00800000u;  // of the lowest finite score

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

// Keys of the largest scores of a part, under the penalty and before it.
struct PartPeaks {
  unsigned peak = 0, plain_peak = 0;
  bool fault = false;  // NaN or +inf among them
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
    unsigned minimum_key = 0;
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
  __device__ PartPeaks guide(int part, int first, int last);
  __device__ Mass plain_mass(const PartPeaks& peaks, int first, int last);
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
        if (key >= kMinimumKey) f(key, p);
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
__device__ float RowSampler<kThreads, T>::penalised(float score, int position) const {
  if (!seen_) return score;
  const int token = token_of(position);
  return seen_[token / 32] >> (token % 32) & 1u ? rules::penalise(score, settings_.penalty) : score;
}

}  // namespace omni::cuda
