#include "omni/core/random.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <cmath>
#include <vector>

namespace omni {
namespace {

// Known answers of philox4x32-10 published with Random123.
TEST(Philox, MatchesThePublishedKnownAnswers) {
  using Block = std::array<std::uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(CounterRng, IsAFunctionOfSeedAndStream) {
  CounterRng a(7, 3), b(7, 3), other_stream(7, 4), other_seed(8, 3);
  int equal_streams = 0, equal_seeds = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t value = a.next_u64();
    EXPECT_EQ(value, b.next_u64());
    equal_streams += value == other_stream.next_u64() ? 1 : 0;
    equal_seeds += value == other_seed.next_u64() ? 1 : 0;
  }
  EXPECT_EQ(equal_streams, 0);
  EXPECT_EQ(equal_seeds, 0);
}

TEST(CounterRng, GoesOnFromAnyPosition) {
  CounterRng whole(5, 2);
  for (std::uint64_t drawn = 0; drawn < 9; ++drawn) {
    EXPECT_EQ(whole.position(), drawn);
    CounterRng rest(5, 2), ahead = whole;
    rest.move_to(drawn);
    EXPECT_EQ(rest.position(), drawn);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(rest.next_u32(), ahead.next_u32()) << drawn;
    whole.next_u32();
  }
}

TEST(CounterRng, DrawsHaveTheMomentsOfTheirDistributions) {
  CounterRng rng(1);
  constexpr int kDraws = 200'000;
  double uniform_sum = 0, normal_sum = 0, normal_squares = 0;
  std::vector<int> counts(7);
  for (int i = 0; i < kDraws; ++i) {
    const double u = rng.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    uniform_sum += u;
    const double n = rng.normal();
    normal_sum += n;
    normal_squares += n * n;
    ++counts[rng.below(7)];
  }
  // Five standard errors of each mean.
  EXPECT_NEAR(uniform_sum / kDraws, 0.5, 5 * 0.2887 / std::sqrt(kDraws));
  EXPECT_NEAR(normal_sum / kDraws, 0.0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(normal_squares / kDraws, 1.0, 5 * std::sqrt(2.0 / kDraws));
  for (const int count : counts) EXPECT_NEAR(count, kDraws / 7.0, 5 * std::sqrt(kDraws / 7.0));
}

TEST(HashCombine, IsXxHash64OfBothWords) {
  CounterRng rng(3);
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t words[2] = {i % 3 ? rng.next_u64() : static_cast<std::uint64_t>(i), rng.next_u64()};
    EXPECT_EQ(hash_combine(words[0], words[1]), XXH64(words, sizeof words, 0));
  }
}

TEST(HashString, IsXxHash64) { EXPECT_EQ(hash_string(""), 0xEF46DB3751D8E999ull); }

}  // namespace
}  // namespace omni
