#pragma once

#include <cmath>
#include <cstddef>

#include "omni/core/isolation.h"

namespace omni::geometry {

// What a library may take that reads so many bytes in a process of its own.
inline IsolationLimits reading_limits(std::size_t byte_count, std::size_t memory_per_byte) {
  constexpr std::size_t kMemoryBytes = std::size_t{512} << 20;
  constexpr double kSeconds = 15, kBytesPerSecond = 1 << 20;
  return {kMemoryBytes + memory_per_byte * byte_count,
          std::ceil(kSeconds + static_cast<double>(byte_count) / kBytesPerSecond)};
}

}  // namespace omni::geometry
