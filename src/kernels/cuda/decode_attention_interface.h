#pragma once

#include <cstdint>

#include "types.h"

// The C interface of attention over a key-value cache on the GPU: a few queries per row against many keys,
// split over the keys. Rows, positions and outputs lie in device memory, so that a captured graph can be
// replayed as sequences grow.
extern "C" {

// How the cache is kept: in the type of the queries, or as bytes with one fp32 scale per head and token.
enum OmniCudaCacheType : std::int32_t {
  kOmniCudaCacheLikeQuery = 0,
  kOmniCudaCacheInt8 = 1,
  kOmniCudaCacheFp8 = 2
};

constexpr std::int32_t kOmniCudaMostGroupQueries = 64;

// One row of queries: all heads of one token, which sees keys 0 .. position of `sequence`. Samples of one
// prompt are rows side by side, a group: their first `shared_keys` keys (a multiple of keys_per_split) are
// those of `holder` and are read once for all of them. A row without company is a group of one with no shared
// keys.
struct OmniCudaDecodeRow {
  std::int32_t sequence, position;
  std::int32_t group_first, group_rows;  // group_rows * heads / key_value_heads <= kOmniCudaMostGroupQueries
  std::int32_t shared_keys, holder;
};

struct OmniCudaDecodeAttention {
  const void* query;  // row r, head h at r * query_stride + h * head_size; normed and rotated
  void* output;       // [row_count, heads, head_size]
  const void* keys;   // [sequences, key_value_heads, room, head_size]
  const void* values;
  const float* key_scales;  // [sequences, key_value_heads, room]; null unless the cache holds bytes
  const float* value_scales;
  const OmniCudaDecodeRow* rows;  // [row_count]
  std::int64_t query_stride, room;
  std::int32_t row_count, heads, key_value_heads, head_size;
  std::int32_t keys_per_split;  // a multiple of 64; one block's share
  std::int32_t maximum_splits;  // at least position / keys_per_split + 1 of every row
  OmniCudaType type;            // of queries and output: bf16 or fp16
  OmniCudaCacheType cache_type;
  float scale;      // of the scores: 1 / sqrt(head_size)
  void* workspace;  // omni_cuda_decode_attention_workspace() bytes, zeroed once before the first launch
};

using OmniCudaDecodeAttentionWorkspaceFunction = std::int64_t (*)(const OmniCudaDecodeAttention*);
using OmniCudaDecodeAttentionSupportsFunction = std::int32_t (*)(const OmniCudaDecodeAttention*);
using OmniCudaDecodeAttentionFunction = std::int32_t (*)(const OmniCudaDecodeAttention*, void* stream);

std::int64_t omni_cuda_decode_attention_workspace(const OmniCudaDecodeAttention* arguments);
// Whether there is a kernel for such arguments on the current device: for the head size and the types, with
// pointers and strides that are multiples of 16 bytes. Output and workspace are not looked at. 1 yes, 0 no.
std::int32_t omni_cuda_decode_attention_supports(const OmniCudaDecodeAttention* arguments);
// One launch, no wait, no allocation. kOmniCudaUnsupported where there is no kernel.
std::int32_t omni_cuda_decode_attention(const OmniCudaDecodeAttention* arguments, void* stream);
}
