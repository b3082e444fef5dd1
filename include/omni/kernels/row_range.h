#pragma once

#include <cstdint>

namespace omni::kernels {

// Rows [first, last) of a tensor.
struct RowRange {
  std::int64_t first = 0, last = 0;
};

}  // namespace omni::kernels
