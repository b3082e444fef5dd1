#pragma once

#include <cstdint>

#include "types.h"

// The C interface of token sampling on the GPU; see omni/kernels/token_sampling.h for what is sampled. The
// settings, keys and outputs lie in device memory, so that a captured graph can be replayed as they change.
extern "C" {

constexpr std::int32_t kOmniCudaMostRanges = 8;
constexpr std::int32_t kOmniCudaMostLikely = 64;

// The settings of one row; see token_rules.h for the units.
struct OmniCudaSamplingRow {
  double temperature;                 // 0: greedy
  double min_p_reach;                 // temperature * log(min_p); no effect unless has_min_p
  std::uint64_t top_p_share;          // token_rules::share_from(top_p); no effect unless has_top_p
  std::uint64_t random_seed;          // hash_combine(seed, sequence)
  std::uint64_t step;                 // of the sequence; the kernel adds one
  float scale_high, scale_low;        // token_rules::scale_of(temperature)
  float penalty;                      // 1: none
  std::int32_t top_k;                 // 0: all
  std::int32_t has_top_p, has_min_p;  // 0 or 1
};

enum OmniCudaSamplingStatus : std::int32_t {
  kOmniCudaSampled = 0,
  kOmniCudaNotFinite = 1,  // NaN or +inf among the allowed logits
  kOmniCudaNoToken = 2     // no token is allowed, or all are -inf
};

struct OmniCudaTokenSampling {
  // Element (condition, row, token) at condition * condition_stride + row * row_stride + token.
  const void* logits;
  std::int64_t condition_stride, row_stride;
  OmniCudaType type;
  std::int32_t batch, vocabulary, conditions;  // conditions: 0 for no guidance
  const float* guidance;                       // [batch, conditions]
  const std::int32_t* ranges;  // [batch, kOmniCudaMostRanges, 2]: first, size; disjoint; null: the whole row
  std::uint32_t* seen;  // [batch, (vocabulary + 31) / 32] bits; the kernel sets the drawn token's; or null
  OmniCudaSamplingRow* rows;          // [batch]
  std::int32_t likely_count;          // 0 to kOmniCudaMostLikely
  std::int32_t* tokens;               // [batch]; -1 where the status is not kOmniCudaSampled
  float* log_probabilities;           // [batch]
  float* filtered_log_probabilities;  // [batch]
  std::int32_t* likely_tokens;        // [batch, likely_count]; -1 beyond the last candidate
  float* likely_log_probabilities;    // [batch, likely_count]
  std::int32_t* statuses;             // [batch] OmniCudaSamplingStatus
  void* workspace;  // omni_cuda_token_sampling_workspace() bytes, zeroed once before the first launch
};

using OmniCudaTokenSamplingWorkspaceFunction = std::int64_t (*)(std::int32_t batch, std::int32_t vocabulary);
using OmniCudaTokenSamplingFunction = std::int32_t (*)(const OmniCudaTokenSampling*, void* stream);

std::int64_t omni_cuda_token_sampling_workspace(std::int32_t batch, std::int32_t vocabulary);
// One launch, no wait, no allocation. kOmniCudaUnsupported for sizes beyond what is said above.
std::int32_t omni_cuda_token_sampling(const OmniCudaTokenSampling* arguments, void* stream);
}
