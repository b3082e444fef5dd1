#pragma once

#include <cstdint>

namespace omni::kernels {

// How cached keys and values are kept. int8: one fp32 scale per head and token, the largest magnitude
// becoming 127.
enum class CacheType { fp32, bf16, int8 };

// Tokens per chunk of a cache: sharing between sequences is in whole chunks, and so are the partial sums of
// attention, whatever is shared.
constexpr std::int64_t kCacheChunk = 128;

}  // namespace omni::kernels
