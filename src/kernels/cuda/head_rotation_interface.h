#pragma once

#include <cstdint>

#include "types.h"

// Norm and rotation of queries and keys on the GPU, C interface of libomni_cuda.so; see omni/kernels/rotary_attention.h.
extern "C" {

constexpr std::int64_t kOmniCudaRotationRows = 16;  // that one block of the backward launcher goes through

// qkv [rows, heads + 2 key_value_heads, head_size] -> query [rows, heads, head_size] and key
// [rows, key_value_heads, head_size]. Everything that is no int or float is contiguous and on the device.
struct OmniCudaHeadRotation {
  const void* qkv;
  void *query, *key;
  const float *cosine, *sine;          // [rows, head_size / 2]; null: no rotation
  const float *query_norm, *key_norm;  // [groups, head_size]; null: no norm
  const std::uint8_t* row_group;       // [rows]; null: all of group 0
  std::int64_t rows;
  std::int32_t heads, key_value_heads, head_size;  // head_size even, at most 512
  std::int32_t groups;
  std::int32_t interleaved;  // 1: pairs are (2i, 2i + 1), 0: (i, i + head_size / 2)
  float epsilon;
  OmniCudaType type;  // of qkv, query, key and their gradients: fp32 or bf16
};

// The gradient of qkv, all of it, from those of queries, keys and values, shaped like these. Of the forward call query
// and key are not looked at.
struct OmniCudaHeadRotationGradient {
  OmniCudaHeadRotation forward;
  const void *query_gradient, *key_gradient, *value_gradient;
  void* qkv_gradient;
  float* norm_gradients;  // [2, groups, head_size]: of the queries' weights, of the keys'; null: not wanted
  float* partial;         // workspace [ceil(rows / kOmniCudaRotationRows), 2, groups, head_size]
};

using OmniCudaHeadRotationFunction = std::int32_t (*)(const OmniCudaHeadRotation*, void* stream);
using OmniCudaHeadRotationGradientFunction = std::int32_t (*)(const OmniCudaHeadRotationGradient*,
                                                              void* stream);

std::int32_t omni_cuda_head_rotation(const OmniCudaHeadRotation* arguments, void* stream);
std::int32_t omni_cuda_head_rotation_gradient(const OmniCudaHeadRotationGradient* arguments, void* stream);
}
