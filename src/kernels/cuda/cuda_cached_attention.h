#pragma once

#include <optional>
#include <span>
#include <vector>

#include "omni/kernels/cuda_decode_attention.h"
#include "omni/kernels/decode_attention.h"

namespace omni::kernels {

// Where rows read their keys, as the GPU's kernel is told: chunks at the start that another sequence holds,
// or that others share, then their own. Neighbours that share become one group, whose shared keys are read
// once. Row i sees tokens 0 .. last_seen[i] of sequence[i]. Nothing where a row's start has several holders
// or is all that it sees.
std::optional<std::vector<CudaDecodePlace>> cuda_decode_places(const KeyValueCache& cache,
                                                               std::span<const std::int32_t> sequence,
                                                               std::span<const std::int32_t> last_seen,
                                                               std::int64_t heads_per_key);

// cached_attention() by the GPU's kernels; nothing where they cannot, which is logged once, at debug level,
// unless it is for want of a GPU.
std::optional<at::Tensor> cuda_cached_attention(const at::Tensor& qkv, const RotaryAttention& options,
                                                KeyValueCache& cache, std::span<const std::int32_t> sequence,
                                                std::span<const std::int32_t> position,
                                                std::span<const std::int32_t> last_seen);

}  // namespace omni::kernels
