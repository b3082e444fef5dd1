#pragma once

#include "omni/kernels/decode_attention.h"

namespace omni::kernels {

// Whether there are kernels for rows of such a type.
bool has_cpu_attention_kernel(at::ScalarType type, std::int64_t head_size);
// And for these.
inline bool cpu_can_attend(const at::Tensor& qkv, std::int64_t head_size) {
  return qkv.device().is_cpu() && has_cpu_attention_kernel(qkv.scalar_type(), head_size);
}

// cached_attention() by the CPU's kernels, of rows that lie inside the cache.
at::Tensor cpu_cached_attention(const at::Tensor& qkv, const RotaryAttention& options, KeyValueCache& cache,
                                std::span<const std::int32_t> sequence,
                                std::span<const std::int32_t> position,
                                std::span<const std::int32_t> last_seen);

}  // namespace omni::kernels
