#pragma once

#include "omni/kernels/decode_attention.h"

namespace omni::kernels {

// Whether there are kernels for such rows.
bool cpu_can_attend(const at::Tensor& qkv, std::int64_t head_size);

// cached_attention() by the CPU's kernels, of rows that lie inside the cache.
at::Tensor cpu_cached_attention(const at::Tensor& qkv, const RotaryAttention& options, KeyValueCache& cache,
                                std::span<const std::int32_t> sequence,
                                std::span<const std::int32_t> position,
                                std::span<const std::int32_t> last_seen);

}  // namespace omni::kernels
