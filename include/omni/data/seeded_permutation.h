#pragma once

#include <cstdint>

namespace omni::data {

// A pseudo-random permutation of 0 .. count - 1 that is computed element by element, without a table: a
// balanced Feistel network over the next power of four, walked along its cycles until it falls inside (Black
// and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).
class SeededPermutation {
 public:
  SeededPermutation(std::uint64_t count, std::uint64_t seed);  // count > 0
  std::uint64_t operator()(std::uint64_t index) const;         // index < count

 private:
  std::uint64_t count_;
  std::uint64_t seed_;
  int half_bits_;
};

}  // namespace omni::data
