#pragma once

#include "row_sampler.cuh"

namespace omni::cuda {

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

// Guides the scores [first, last) of the part and finds the largest ones.
template <int kThreads, class T>
__device__ PartPeaks RowSampler<kThreads, T>::guide(int part, int first, int last) {
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
  launch_.workspace.maxima[part_index(part) * kThreads + threadIdx.x] = largest;
  unsigned* keys = memory_.select.counts;  // of warps
  const unsigned peak = __reduce_max_sync(kAllLanes, rules::key_of(largest));
  const unsigned plain_peak = __reduce_max_sync(kAllLanes, rules::key_of(plain_largest));
  if (threadIdx.x % kWarp == 0) {
    keys[threadIdx.x / kWarp] = peak;
    keys[kThreads / kWarp + threadIdx.x / kWarp] = plain_peak;
  }
  PartPeaks found;
  found.fault = __syncthreads_or(fault);
  for (int i = 0; i < kThreads / kWarp; ++i) {
    found.peak = max(found.peak, keys[i]);
    found.plain_peak = max(found.plain_peak, keys[kThreads / kWarp + i]);
  }
  return found;
}

// The weight of the part's scores before the penalty, relative to their largest.
template <int kThreads, class T>
__device__ Mass RowSampler<kThreads, T>::plain_mass(const PartPeaks& peaks, int first, int last) {
  Mass mass = 0;
  const float reference = rules::score_of(peaks.plain_peak);
  const rules::Scale unit = rules::scale_of(1.0);
  if (peaks.plain_peak >= kMinimumKey && !peaks.fault)
    for (int p = first + static_cast<int>(threadIdx.x); p < last; p += kThreads)
      mass += rules::weight_of(scores_[p], reference, unit);
  return block_sum<kThreads>(mass, memory_.select.warp_masses);
}

template <int kThreads, class T>
__device__ bool RowSampler<kThreads, T>::prepare(int part) {
  SamplingShared& s = memory_.row;
  const int size = (s.count + launch_.parts - 1) / launch_.parts;
  const int first = min(s.count, part * size), last = min(s.count, first + size);
  const PartPeaks peaks = guide(part, first, last);
  const Mass mass = plain_mass(peaks, first, last);
  const SamplingWorkspace& work = launch_.workspace;
  if (threadIdx.x == 0) {
    const std::int64_t index = part_index(part);
    work.peaks[index] = peaks.peak;
    work.plain_peaks[index] = peaks.plain_peak;
    work.plain_masses[index] = mass;
    work.faults[index] = peaks.fault;
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

}  // namespace omni::cuda
