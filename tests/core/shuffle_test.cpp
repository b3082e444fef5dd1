#include "omni/core/shuffle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

namespace omni {
namespace {

std::vector<int> in_order(int count) {
  std::vector<int> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 0);
  return values;
}

TEST(Shuffle, GivesEveryOrderEquallyOften) {
  constexpr int kDraws = 24'000;
  std::map<std::vector<int>, int> whole, chosen;
  for (int i = 0; i < kDraws; ++i) {
    CounterRng rng(7, static_cast<std::uint64_t>(i));
    std::vector<int> values = in_order(4);
    shuffle(std::span(values), rng);
    ++whole[values];
    values = in_order(4);
    shuffle_first(std::span(values), 2, rng);
    values.resize(2);
    ++chosen[values];
  }
  ASSERT_EQ(whole.size(), 24u);
  ASSERT_EQ(chosen.size(), 12u);
  for (const auto& [order, count] : whole) EXPECT_NEAR(count, kDraws / 24, 5 * std::sqrt(kDraws / 24));
  for (const auto& [order, count] : chosen) EXPECT_NEAR(count, kDraws / 12, 5 * std::sqrt(kDraws / 12));
}

TEST(Shuffle, StaysWhatItIs) {
  CounterRng rng(1);
  std::vector<int> values = in_order(8);
  shuffle(std::span(values), rng);
  EXPECT_EQ(values, (std::vector<int>{4, 6, 5, 7, 2, 3, 1, 0}));
  values = in_order(8);
  shuffle_first(std::span(values), 3, rng);
  values.resize(3);
  EXPECT_EQ(values, (std::vector<int>{1, 6, 5}));
}

TEST(ShuffleFirst, DrawingMoreOnlyAddsAndTooManyIsRefused) {
  std::vector<int> few = in_order(9), many = in_order(9);
  CounterRng a(3), b(3);
  shuffle_first(std::span(few), 4, a);
  shuffle_first(std::span(many), 9, b);
  EXPECT_TRUE(std::equal(few.begin(), few.begin() + 4, many.begin()));
  EXPECT_TRUE(std::is_permutation(many.begin(), many.end(), in_order(9).begin()));
  EXPECT_THROW(shuffle_first(std::span(few), 10, a), Error);
}

}  // namespace
}  // namespace omni
