#pragma once

#include <type_traits>

#include "shim/intrinsics.h"
#include "shim/machine.h"

// CUDA's block barriers and warp collectives.

inline void __syncthreads(OMNI_SHIM_SITE) { omni::shim::block_barrier(false, site); }
inline int __syncthreads_count(int predicate, OMNI_SHIM_SITE) {
  return omni::shim::block_barrier(predicate != 0, site);
}
inline int __syncthreads_or(int predicate, OMNI_SHIM_SITE) {
  return omni::shim::block_barrier(predicate != 0, site) > 0;
}
inline int __syncthreads_and(int predicate, OMNI_SHIM_SITE) {
  const dim3& size = omni::shim::block_size();
  return omni::shim::block_barrier(predicate != 0, site) == static_cast<int>(size.x * size.y * size.z);
}

namespace omni::shim {

template <class T>
struct ShuffleInput {
  T value;
  unsigned source;  // lane that this lane reads
};

template <class T>
void combine_shuffle(const LaneRequest* lanes, unsigned mask) {
  for (unsigned i = 0; i < 32; ++i) {
    if (!(mask >> i & 1u)) continue;
    const auto* own = static_cast<const ShuffleInput<T>*>(lanes[i].input);
    const auto* source = static_cast<const ShuffleInput<T>*>(lanes[own->source].input);
    // Reading a lane that does not take part gives anything; all bits set shows best.
    T value;
    __builtin_memset(&value, 0xff, sizeof(T));
    *static_cast<T*>(lanes[i].output) = source ? source->value : value;
  }
}

template <class T>
T shuffle(unsigned mask, T value, unsigned source, Site site) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  static constexpr Collective kShuffle{"__shfl_sync", &combine_shuffle<T>};
  const ShuffleInput<T> input{value, source};
  T output;
  warp_collective(kShuffle, mask, {&input, &output}, site);
  return output;
}

void combine_nothing(const LaneRequest* lanes, unsigned mask);
unsigned ballot(unsigned mask, bool predicate, Site site);

// Folds the values of all lanes of the mask in lane order and gives everyone the result.
template <class T, T (*fold)(T, T)>
void combine_reduce(const LaneRequest* lanes, unsigned mask) {
  bool first = true;
  T total{};
  for (unsigned i = 0; i < 32; ++i) {
    if (!(mask >> i & 1u)) continue;
    const T value = *static_cast<const T*>(lanes[i].input);
    total = first ? value : fold(total, value);
    first = false;
  }
  for (unsigned i = 0; i < 32; ++i)
    if (mask >> i & 1u) *static_cast<T*>(lanes[i].output) = total;
}

template <class T, T (*fold)(T, T)>
T reduce(unsigned mask, T value, Site site) {
  static constexpr Collective kReduce{"__reduce_sync", &combine_reduce<T, fold>};
  T output;
  warp_collective(kReduce, mask, {&value, &output}, site);
  return output;
}

template <class T>
T add(T a, T b) {
  return static_cast<T>(static_cast<unsigned>(a) + static_cast<unsigned>(b));
}
template <class T>
T smaller(T a, T b) {
  return a < b ? a : b;
}
template <class T>
T larger(T a, T b) {
  return a > b ? a : b;
}
inline unsigned bits_and(unsigned a, unsigned b) { return a & b; }
inline unsigned bits_or(unsigned a, unsigned b) { return a | b; }
inline unsigned bits_xor(unsigned a, unsigned b) { return a ^ b; }

}  // namespace omni::shim

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, OMNI_SHIM_SITE) {
  const unsigned lane = omni::shim::lane_index(), w = static_cast<unsigned>(width);
  return omni::shim::shuffle(mask, value, lane / w * w + static_cast<unsigned>(source) % w, site);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, OMNI_SHIM_SITE) {
  const unsigned lane = omni::shim::lane_index(), w = static_cast<unsigned>(width);
  const unsigned source = lane ^ static_cast<unsigned>(lane_mask);
  return omni::shim::shuffle(mask, value, source < lane / w * w + w ? source : lane, site);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, OMNI_SHIM_SITE) {
  const unsigned lane = omni::shim::lane_index(), w = static_cast<unsigned>(width);
  return omni::shim::shuffle(mask, value, lane % w >= delta ? lane - delta : lane, site);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, OMNI_SHIM_SITE) {
  const unsigned lane = omni::shim::lane_index(), w = static_cast<unsigned>(width);
  return omni::shim::shuffle(mask, value, lane % w + delta < w ? lane + delta : lane, site);
}

inline void __syncwarp(unsigned mask = 0xffffffffu, OMNI_SHIM_SITE) {
  static constexpr omni::shim::Collective kSync{"__syncwarp", &omni::shim::combine_nothing};
  omni::shim::warp_collective(kSync, mask, {nullptr, nullptr}, site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, OMNI_SHIM_SITE) {
  return omni::shim::ballot(mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate, OMNI_SHIM_SITE) {
  return omni::shim::ballot(mask, predicate != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, OMNI_SHIM_SITE) {
  return omni::shim::ballot(mask, predicate != 0, site) == mask;
}

#define OMNI_SHIM_REDUCE(name, T, fold)                                 \
  inline T name(unsigned mask, T value, OMNI_SHIM_SITE) {               \
    return omni::shim::reduce<T, &omni::shim::fold>(mask, value, site); \
  }
OMNI_SHIM_REDUCE(__reduce_add_sync, unsigned, add<unsigned>)
OMNI_SHIM_REDUCE(__reduce_add_sync, int, add<int>)
OMNI_SHIM_REDUCE(__reduce_min_sync, unsigned, smaller<unsigned>)
OMNI_SHIM_REDUCE(__reduce_min_sync, int, smaller<int>)
OMNI_SHIM_REDUCE(__reduce_max_sync, unsigned, larger<unsigned>)
OMNI_SHIM_REDUCE(__reduce_max_sync, int, larger<int>)
OMNI_SHIM_REDUCE(__reduce_and_sync, unsigned, bits_and)
OMNI_SHIM_REDUCE(__reduce_or_sync, unsigned, bits_or)
OMNI_SHIM_REDUCE(__reduce_xor_sync, unsigned, bits_xor)
#undef OMNI_SHIM_REDUCE

namespace omni::shim {
template <class T>
void combine_match(const LaneRequest* lanes, unsigned mask) {
  for (unsigned i = 0; i < 32; ++i) {
    if (!(mask >> i & 1u)) continue;
    unsigned same = 0;
    for (unsigned j = 0; j < 32; ++j)
      if (mask >> j & 1u && !__builtin_memcmp(lanes[i].input, lanes[j].input, sizeof(T))) same |= 1u << j;
    *static_cast<unsigned*>(lanes[i].output) = same;
  }
}
}  // namespace omni::shim

template <class T>
inline unsigned __match_any_sync(unsigned mask, T value, OMNI_SHIM_SITE) {
  static constexpr omni::shim::Collective kMatch{"__match_any_sync", &omni::shim::combine_match<T>};
  unsigned output = 0;
  omni::shim::warp_collective(kMatch, mask, {&value, &output}, site);
  return output;
}
