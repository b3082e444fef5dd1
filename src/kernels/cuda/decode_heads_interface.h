#pragma once

#include <cstdint>

#include "decode_attention_interface.h"

// The C interface of what a decoding step does between the projection to heads and the attention: queries and
// keys are normed and rotated, keys and values written to the cache, in one launch.
extern "C" {

struct OmniCudaDecodeHeads {
  const void* qkv;  // [row_count, heads + 2 key_value_heads, head_size] bf16: queries, keys, values
  void* query;      // [row_count, heads, head_size] bf16
  void* keys;       // as in OmniCudaCacheWrite
  void* values;
  float* key_scales;
  float* value_scales;
  const float* query_norm;  // [head_size], RMS norm of each head before the rotation; null: none
  const float* key_norm;
  const float* cosine;  // [row_count, head_size / 2]
  const float* sine;
  const OmniCudaDecodeRow* rows;  // [row_count]; the rows' groups have no say
  std::int64_t room;
  std::int32_t row_count, heads, key_value_heads, head_size;
  std::int32_t interleaved;  // 1: pairs are (2 i, 2 i + 1), 0: (i, i + head_size / 2)
  float norm_epsilon;
  OmniCudaCacheType cache_type;
};

using OmniCudaDecodeHeadsFunction = std::int32_t (*)(const OmniCudaDecodeHeads*, void* stream);

// One launch, no wait. kOmniCudaUnsupported for impossible sizes.
std::int32_t omni_cuda_decode_heads(const OmniCudaDecodeHeads* arguments, void* stream);
}
