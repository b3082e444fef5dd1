#include "omni/data/seeded_permutation.h"

#include "omni/core/error.h"
#include "omni/core/random.h"

namespace omni::data {

SeededPermutation::SeededPermutation(std::uint64_t count, std::uint64_t seed)
    : count_(count), seed_(seed), half_bits_(1) {
  ensure(count > 0 && count <= (std::uint64_t{1} << 62), "a permutation of ", count, " elements");
  while ((std::uint64_t{1} << (2 * half_bits_)) < count) ++half_bits_;
}

std::uint64_t SeededPermutation::operator()(std::uint64_t index) const {
  ensure(index < count_, "a permutation of ", count_, " elements has no element ", index);
  constexpr std::uint32_t kRounds = 4;
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  const std::array<std::uint32_t, 2> key = {static_cast<std::uint32_t>(seed_),
                                            static_cast<std::uint32_t>(seed_ >> 32)};
  std::uint64_t value = index;
  do {
    std::uint64_t left = value >> half_bits_, right = value & mask;
    for (std::uint32_t round = 0; round < kRounds; ++round) {
      const std::uint64_t mixed = philox4x32({static_cast<std::uint32_t>(right), round, 0, 0}, key)[0];
      const std::uint64_t next = left ^ (mixed & mask);
      left = right;
      right = next;
    }
    value = (left << half_bits_) | right;
  } while (value >= count_);
  return value;
}

}  // namespace omni::data
