#pragma once

#include <cstdint>

#include "numeric.cuh"

// Selection without sorting, by one block of threads: the digits of a key are settled from the top, each by a
// histogram of counts and masses (64-bit integers, so that the order of additions has no say).
namespace omni::cuda {

using Mass = unsigned long long;

// What a block shares while it selects; one histogram bucket per thread.
template <int kThreads>
struct SelectShared {
  unsigned counts[kThreads];
  unsigned low[kThreads], high[kThreads];  // halves of the masses: 32-bit atomics are the fast ones
  Mass warp_counts[kThreads / 32], warp_masses[kThreads / 32];
  Mass found_count_above, found_mass_above;
  unsigned found_bucket, found_count;
};

// Keys [low, high] in which the wanted one lies, and what lies above them.
struct KeyRange {
  unsigned low = 0, high = 0;
  Mass count_above = 0, mass_above = 0;
  unsigned count = 0xffffffffu;  // of the keys in the range, once known
  bool found = true;             // false: all keys together do not reach what is needed

  __device__ bool settled() const { return !found || low == high; }
};

template <int kThreads>
__device__ void add_to_bucket(SelectShared<kThreads>& s, unsigned bucket, unsigned count, Mass mass) {
  atomicAdd(&s.counts[bucket], count);
  const unsigned part = static_cast<unsigned>(mass);
  const unsigned before = atomicAdd(&s.low[bucket], part);
  const unsigned rest = static_cast<unsigned>(mass >> 32) + (before + part < before ? 1u : 0u);
  if (rest != 0) atomicAdd(&s.high[bucket], rest);
}

// The sum over this thread and those before it.
template <int kThreads>
__device__ Mass block_scan(Mass x, Mass* warp_totals) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (unsigned distance = 1; distance < 32; distance *= 2) {
    const Mass other = __shfl_up_sync(kAllLanes, x, distance);
    if (lane >= static_cast<int>(distance)) x += other;
  }
  if (lane == 31) warp_totals[warp] = x;
  __syncthreads();
  for (int i = 0; i < warp; ++i) x += warp_totals[i];
  return x;
}

// The sum over the block, for every thread. The caller's next use of warp_totals must be behind a barrier.
template <int kThreads>
__device__ Mass block_sum(Mass x, Mass* warp_totals) {
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(kAllLanes, x, distance);
  if (threadIdx.x % 32 == 0) warp_totals[threadIdx.x / 32] = x;
  __syncthreads();
  Mass total = 0;
  for (int i = 0; i < kThreads / 32; ++i) total += warp_totals[i];
  __syncthreads();
  return total;
}

// Settles the next digit: narrows the range to the bucket in which the keys from the top on reach `needed`,
// by count or by mass. for_each_key(f) calls f(key) for every key of this thread; weigh(key) is a key's mass.
template <int kThreads, class ForEachKey, class Weigh>
__device__ void narrow(SelectShared<kThreads>& s, KeyRange& range, bool by_mass, Mass needed,
                       const ForEachKey& for_each_key, const Weigh& weigh) {
  constexpr int kDigitBits = kThreads == 1024 ? 10 : kThreads == 512 ? 9 : kThreads == 256 ? 8 : 7;
  static_assert(kThreads == 1 << kDigitBits, "one bucket per thread");
  const unsigned span = range.high - range.low;
  const int span_bits = span == 0 ? 0 : 32 - __clz(static_cast<int>(span));
  const int shift = span_bits > kDigitBits ? span_bits - kDigitBits : 0;
  s.counts[threadIdx.x] = s.low[threadIdx.x] = s.high[threadIdx.x] = 0;
  if (threadIdx.x == 0) s.found_bucket = kThreads;
  __syncthreads();

  // Neighbouring keys often share a bucket: they are added up first.
  unsigned bucket = kThreads, count = 0;
  Mass mass = 0;
  for_each_key([&](unsigned key) {
    if (key < range.low || key > range.high) return;
    const unsigned own = (key - range.low) >> shift;
    if (own != bucket) {
      if (count > 0) add_to_bucket<kThreads>(s, bucket, count, mass);
      bucket = own;
      count = 0;
      mass = 0;
    }
    ++count;
    mass += weigh(key);
  });
  if (count > 0) add_to_bucket<kThreads>(s, bucket, count, mass);
  __syncthreads();

  const unsigned place = kThreads - 1 - threadIdx.x;
  const Mass own_count = s.counts[place];
  const Mass own_mass = static_cast<Mass>(s.high[place]) << 32 | s.low[place];
  const Mass counts = range.count_above + block_scan<kThreads>(own_count, s.warp_counts);
  const Mass masses = range.mass_above + block_scan<kThreads>(own_mass, s.warp_masses);
  const Mass reached = by_mass ? masses : counts;
  const Mass own = by_mass ? own_mass : own_count;
  if (reached >= needed && reached - own < needed) {
    s.found_bucket = place;
    s.found_count = static_cast<unsigned>(own_count);
    s.found_count_above = counts - own_count;
    s.found_mass_above = masses - own_mass;
  }
  __syncthreads();
  range.found = s.found_bucket < kThreads;
  if (range.found) {
    range.low += s.found_bucket << shift;
    const unsigned bucket_span = (1u << shift) - 1;
    if (bucket_span < range.high - range.low) range.high = range.low + bucket_span;
    range.count = s.found_count;
    range.count_above = s.found_count_above;
    range.mass_above = s.found_mass_above;
  }
  __syncthreads();
}

}  // namespace omni::cuda
