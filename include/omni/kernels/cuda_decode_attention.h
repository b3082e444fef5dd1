#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Attention over a key-value cache on the GPU by the kernel of the plug-in. Tensors are on one CUDA device.
struct CudaDecodeAttention {
  at::Tensor query;  // [rows, heads, head_size] bf16 or fp16, heads side by side
  // [sequences, key_value_heads, room, head_size] in query's type, int8, or e4m3 as uint8.
  at::Tensor keys, values;
  at::Tensor key_scales, value_scales;  // [sequences, key_value_heads, room] fp32; undefined in query's type
  at::Tensor rows;                      // from cuda_decode_rows()
  std::int64_t keys_per_split = 256;    // a multiple of 64; the result depends on it by rounding alone
  std::int64_t maximum_splits = 1;      // at least longest row / keys_per_split, rounded up
};

// Where the rows stand, for all layers of a step and, changed in place, for all steps of a captured graph.
struct CudaDecodePlace {
  std::int32_t sequence = 0, position = 0;  // the row sees tokens 0 .. position
  // Rows side by side that share their first tokens, and whose those are: `shared` is a multiple of
  // keys_per_split. A row alone: group_first is its own number, group_rows 1, shared 0.
  std::int32_t group_first = 0, group_rows = 1, shared = 0, holder = 0;
};
// Throws Error(internal) for a group that breaks these rules.
void check_cuda_decode_places(std::span<const CudaDecodePlace> places, std::int64_t heads_per_key,
                              std::int64_t keys_per_split);
// -> [rows, 6] int32 on the device, checked.
at::Tensor cuda_decode_rows(std::span<const CudaDecodePlace> places, std::int64_t heads_per_key,
                            std::int64_t keys_per_split, const at::Device& device);

// Why no kernel can run such a call; empty where one can.
std::string cuda_decode_refusal(const CudaDecodeAttention& call);

// Writes the keys and values of the rows, normed and rotated, to the call's cache, each at its row's
// position: [rows, key_value_heads, head_size] in the type of query, heads side by side. A cache of bytes
// gets the scales that make the largest magnitude of each head 127 (int8) or 448 (e4m3).
void cuda_cache_write(const at::Tensor& new_keys, const at::Tensor& new_values,
                      const CudaDecodeAttention& call);

// Zeroed memory that a call needs; it serves call after call of the same sizes.
at::Tensor cuda_decode_workspace(const CudaDecodeAttention& call);

// -> [rows, heads, head_size] in the type of query.
at::Tensor cuda_decode_attention(const CudaDecodeAttention& call, const at::Tensor& workspace);

}  // namespace omni::kernels
