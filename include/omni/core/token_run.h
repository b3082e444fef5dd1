#pragma once

#include <cstddef>
#include <cstdint>

namespace omni {

// Consecutive token ids: what may stand at a position, or be drawn, is a few of them, disjoint.
struct TokenRun {
  std::int32_t first = 0, size = 0;
  friend bool operator==(const TokenRun&, const TokenRun&) = default;
};
inline constexpr std::size_t kMaximumTokenRuns = 8;

}  // namespace omni
