#pragma once

#include <cstdint>
#include <vector>

namespace omni::checkpoint {

// The elements of a tensor by its shape.

// -1: more than any tensor has.
inline std::int64_t tensor_size(const std::vector<std::int64_t>& shape) {
  constexpr std::int64_t kMaximum = std::int64_t{1} << 48;
  std::int64_t size = 1;
  for (const std::int64_t side : shape)
    if (side < 0 || __builtin_mul_overflow(size, side, &size) || size > kMaximum) return -1;
  return size;
}

}  // namespace omni::checkpoint
