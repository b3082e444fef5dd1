#pragma once

#include <cstdint>
#include <string_view>

#include "omni/core/safetensors.h"

namespace omni::data {

inline constexpr std::string_view kTokenShardFormat = "omni token shard";
inline constexpr std::int64_t kTokenShardVersion = 1;
// Named for what it told before there were brief captions: 1 for complete ones, 0 for others.
inline constexpr const char* kCaptionKindTensor = "caption_complete";
inline constexpr std::int64_t kStoredCaptionKinds = 3;                // all but reworded ones
inline constexpr std::int64_t kMaximumCodes = std::int64_t{1} << 20;  // of one payload
inline constexpr std::int64_t kMaximumVocabulary = std::int64_t{1} << 30;

// The narrowest type that holds 0 .. vocabulary - 1.
DType code_dtype(std::int64_t vocabulary);

// A hash of one tensor's name and bytes; a shard's content hash combines those of all tensors in name order.
std::uint64_t tensor_hash(std::string_view name, const TensorView& view);

}  // namespace omni::data
