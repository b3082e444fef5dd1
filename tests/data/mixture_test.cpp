#include "omni/data/mixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "omni/core/error.h"
#include "omni/data/seeded_permutation.h"

namespace omni::data {
namespace {

TEST(SeededPermutation, IsAPermutationOfEverySmallCount) {
  for (std::uint64_t count = 1; count <= 300; ++count) {
    const SeededPermutation order(count, count * 7);
    std::set<std::uint64_t> seen;
    for (std::uint64_t i = 0; i < count; ++i) seen.insert(order(i));
    EXPECT_EQ(seen.size(), count);
    EXPECT_EQ(*seen.rbegin(), count - 1);
  }
}

TEST(SeededPermutation, SeedsGiveDifferentOrders) {
  const SeededPermutation a(1000, 1), b(1000, 2);
  int same = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) same += a(i) == b(i);
  EXPECT_LT(same, 12);  // one is expected
}

// Each element should land in each tenth of the range equally often over many seeds.
TEST(SeededPermutation, SpreadsEvenly) {
  std::array<int, 10> counts{};
  for (std::uint64_t seed = 0; seed < 5000; ++seed) ++counts[SeededPermutation(50, seed)(17) / 5];
  for (const int count : counts) EXPECT_NEAR(count, 500, 5 * 21.2);
}

TEST(Mixture, SharesAreNormalisedWeights) {
  EXPECT_EQ(mixture_shares({{.weight = 3}, {.weight = 1}}, {}), (std::vector<double>{0.75, 0.25}));
}

TEST(Mixture, TokenUnitsDivideByTheLength) {
  const auto shares = mixture_shares({{.weight = 1, .mean_tokens = 100}, {.weight = 1, .mean_tokens = 300}},
                                     {.weights_count_tokens = true});
  EXPECT_NEAR(shares[0], 0.75, 1e-12);
}

TEST(Mixture, TemperatureEvensOut) {
  const auto shares = mixture_shares({{.weight = 16}, {.weight = 1}}, {.temperature = 2});
  EXPECT_NEAR(shares[0], 0.8, 1e-12);
}

TEST(Mixture, RejectsNonsense) {
  EXPECT_THROW(mixture_shares({}, {}), Error);
  EXPECT_THROW(mixture_shares({{.weight = 0}}, {}), Error);
  EXPECT_THROW(mixture_shares({{.weight = -1}, {.weight = 2}}, {}), Error);
  EXPECT_THROW(mixture_shares({{.weight = 1}}, {.temperature = 0}), Error);
}

TEST(Mixture, TheRepeatCapFailsOrReweights) {
  // 1,000 documents; the first task has 100 examples that may be shown twice: at most 200 documents.
  const std::vector<MixtureEntry> entries = {
      {.weight = 2, .examples = 100}, {.weight = 1, .examples = 10000}, {.weight = 1, .examples = 10000}};
  MixtureOptions options{.repeat_cap = 2, .total_documents = 1000};
  EXPECT_THROW(mixture_shares(entries, options), Error);
  options.reweight = true;
  const auto shares = mixture_shares(entries, options);
  EXPECT_NEAR(shares[0], 0.2, 1e-12);
  EXPECT_NEAR(shares[1], 0.4, 1e-12);
  EXPECT_NEAR(shares[2], 0.4, 1e-12);
  options.total_documents = 1e6;
  EXPECT_THROW(mixture_shares(entries, options), Error);  // 40,200 documents are all that the cap allows
}

TEST(Mixture, ReweightingCascades) {
  const auto shares = mixture_shares(
      {{.weight = 6, .examples = 10}, {.weight = 3, .examples = 30}, {.weight = 1, .examples = 1000}},
      {.repeat_cap = 1, .total_documents = 100, .reweight = true});
  EXPECT_NEAR(shares[0], 0.1, 1e-12);
  EXPECT_NEAR(shares[1], 0.3, 1e-12);
  EXPECT_NEAR(shares[2], 0.6, 1e-12);
}

TEST(MixtureSchedule, UsesCountUpInOrderAndSharesHold) {
  const std::vector<double> shares = {0.5, 0.3, 0.2, 0};
  const MixtureSchedule schedule(shares, 5);
  std::vector<std::int64_t> used(4, 0);
  for (std::int64_t n = 0; n < 3 * MixtureSchedule::kRound; ++n) {
    const auto draw = schedule.draw(n);
    EXPECT_EQ(draw.use, used[draw.task]++);
    if ((n + 1) % 512 == 0) {
      for (std::size_t task = 0; task < 3; ++task) {
        const double expected = shares[task] * static_cast<double>(n + 1);
        EXPECT_NEAR(static_cast<double>(used[task]), expected, 5 * std::sqrt(expected * (1 - shares[task])));
      }
    }
  }
  EXPECT_EQ(used[3], 0);
  for (std::size_t task = 0; task < 3; ++task) {
    EXPECT_NEAR(static_cast<double>(used[task]) / (3 * MixtureSchedule::kRound), shares[task], 1.0 / 4096);
  }
}

TEST(MixtureSchedule, TinySharesAreNotLost) {
  std::vector<double> shares(101, 1e-6);
  shares[0] = 1 - 1e-4;
  const MixtureSchedule schedule(shares, 5);
  std::int64_t total = 0;
  for (std::size_t task = 0; task < shares.size(); ++task) {
    EXPECT_GE(schedule.documents_per_round(task), 1);
    total += schedule.documents_per_round(task);
  }
  EXPECT_EQ(total, MixtureSchedule::kRound);
}

}  // namespace
}  // namespace omni::data
