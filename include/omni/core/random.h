#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace omni {

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

// A stream of random numbers that is a pure function of (seed, stream): streams can be drawn in any order, on
// any thread, and a run can be resumed by remembering two integers. Cheap to construct; a value type.
class CounterRng {
 public:
  explicit CounterRng(std::uint64_t seed, std::uint64_t stream = 0);

  std::uint32_t next_u32();
  std::uint64_t next_u64();
  double uniform();                                    // in [0, 1)
  double uniform(double low, double high);             // in [low, high)
  double normal();                                     // standard normal (Box-Muller)
  std::uint64_t below(std::uint64_t exclusive_bound);  // unbiased; the bound must be positive
  bool chance(double probability);

  // How many 32-bit numbers have been drawn; move_to() goes on from there, in another process, say.
  std::uint64_t position() const { return block_ * 4 - static_cast<std::uint64_t>(4 - used_); }
  void move_to(std::uint64_t position);

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t block_ = 0;
  std::array<std::uint32_t, 4> buffer_{};
  int used_ = 4;
};

// Mixes integers or a name into a seed or stream number.
std::uint64_t hash_combine(std::uint64_t a, std::uint64_t b);
std::uint64_t hash_string(std::string_view text);  // xxHash64: stable across platforms and versions

}  // namespace omni
