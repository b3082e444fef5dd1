#pragma once

#include <cstdint>

#include "decode_attention_interface.h"

// The C interface of what fills the cache that decode_attention.h reads.
extern "C" {

// Writes the keys and values of new tokens, normed and rotated, one per row, at `position` of `sequence`. A
// cache of bytes gets one scale per head and token, by which the largest magnitude becomes 127 (int8) or 448
// (e4m3).
struct OmniCudaCacheWrite {
  const void* new_keys;  // row r, head h at r * row_stride + h * head_size
  const void* new_values;
  void* keys;  // as in OmniCudaDecodeAttention
  void* values;
  float* key_scales;
  float* value_scales;
  const OmniCudaDecodeRow* rows;  // [row_count]; the rows' groups have no say
  std::int64_t row_stride, room;
  std::int32_t row_count, key_value_heads, head_size;
  OmniCudaType type;  // of the new keys and values: bf16 or fp16
  OmniCudaCacheType cache_type;
};

using OmniCudaCacheWriteFunction = std::int32_t (*)(const OmniCudaCacheWrite*, void* stream);

// One launch, no wait. kOmniCudaUnsupported for other types and impossible sizes.
std::int32_t omni_cuda_cache_write(const OmniCudaCacheWrite* arguments, void* stream);
}
