#include "omni/core/random.h"

#include <bit>
#include <cmath>
#include <numbers>

#include "omni/core/error.h"

namespace omni {

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t kMultiplierA = 0xD2511F53, kMultiplierB = 0xCD9E8D57;
  constexpr std::uint32_t kWeylA = 0x9E3779B9, kWeylB = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = kMultiplierA * counter[0];
    const std::uint64_t b = kMultiplierB * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += kWeylA;
    key[1] += kWeylB;
  }
  return counter;
}

CounterRng::CounterRng(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}

std::uint32_t CounterRng::next_u32() {
  if (used_ == 4) {
    buffer_ = philox4x32({static_cast<std::uint32_t>(block_), static_cast<std::uint32_t>(block_ >> 32),
                          static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                         {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
    ++block_;
    used_ = 0;
  }
  return buffer_[used_++];
}

std::uint64_t CounterRng::next_u64() {
  const std::uint64_t low = next_u32();
  return low | (static_cast<std::uint64_t>(next_u32()) << 32);
}

double CounterRng::uniform() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }

double CounterRng::uniform(double low, double high) { return low + (high - low) * uniform(); }

double CounterRng::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

std::uint64_t CounterRng::below(std::uint64_t exclusive_bound) {
  ensure(exclusive_bound > 0, "CounterRng::below needs a positive bound");
  // Values under `threshold` would make the remainders uneven, so they are drawn again.
  const std::uint64_t threshold = (0 - exclusive_bound) % exclusive_bound;
  while (true) {
    const std::uint64_t value = next_u64();
    if (value >= threshold) return value % exclusive_bound;
  }
}

bool CounterRng::chance(double probability) { return uniform() < probability; }

void CounterRng::move_to(std::uint64_t position) {
  block_ = position / 4;
  used_ = 4;
  for (std::uint64_t i = 0; i < position % 4; ++i) next_u32();
}

// xxHash64 of the two words, written out: what draws random numbers needs no hash library.
std::uint64_t hash_combine(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87, kPrime2 = 0xC2B2AE3D27D4EB4F,
                          kPrime3 = 0x165667B19E3779F9, kPrime4 = 0x85EBCA77C2B2AE63,
                          kPrime5 = 0x27D4EB2F165667C5;
  std::uint64_t hash = kPrime5 + sizeof a + sizeof b;
  for (const std::uint64_t word : {a, b}) {
    hash ^= std::rotl(word * kPrime2, 31) * kPrime1;
    hash = std::rotl(hash, 27) * kPrime1 + kPrime4;
  }
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

}  // namespace omni
