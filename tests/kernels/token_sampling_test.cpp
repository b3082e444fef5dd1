#include "omni/kernels/token_sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "omni/core/error.h"
#include "omni/core/random.h"

namespace omni::kernels {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// The distribution that the settings define, written without regard to cost: sort everything, filter in
// order.
std::map<int, double> reference_distribution(std::vector<float> row, const SamplingSettings& s,
                                             const std::set<int>& seen) {
  for (const int index : seen)
    row[index] = static_cast<float>(row[index] > 0 ? row[index] / s.repetition_penalty
                                                   : row[index] * s.repetition_penalty);
  std::vector<std::pair<double, int>> order;
  for (std::size_t i = 0; i < row.size(); ++i)
    if (row[i] != kNever) order.emplace_back(-static_cast<double>(row[i]), static_cast<int>(i));
  std::sort(order.begin(), order.end());
  if (s.top_k > 0 && s.top_k < static_cast<std::int64_t>(order.size())) order.resize(s.top_k);
  const auto probabilities = [&] {
    std::vector<double> p;
    double total = 0;
    for (const auto& [negative, index] : order)
      total += p.emplace_back(std::exp((order[0].first - negative) / s.temperature));
    for (double& x : p) x /= total;
    return p;
  };
  std::vector<double> p = probabilities();
  double mass = 0;
  std::size_t count = 0;
  while (count < p.size() && (count == 0 || mass < s.top_p)) mass += p[count++];
  if (s.top_p < 1) order.resize(count);
  p = probabilities();
  while (p.back() < s.min_p * p[0]) {
    p.pop_back();
    order.pop_back();
  }
  p = probabilities();
  std::map<int, double> result;
  for (std::size_t i = 0; i < p.size(); ++i) result[order[i].second] = p[i];
  return result;
}

TEST(TokenSampling, FrequenciesMatchTheSortedReference) {
  const std::vector<float> row = {1.0f, 2.0f, 2.0f, -1.0f, kNever, 0.5f, 3.0f, 2.0f};
  const std::vector<SamplingSettings> all = {
      {},
      {.temperature = 0.7, .top_k = 3},
      {.top_p = 0.8},
      {.min_p = 0.3},
      {.temperature = 1.5, .top_k = 6, .top_p = 0.9, .min_p = 0.1, .repetition_penalty = 1.3}};
  for (const SamplingSettings& settings : all) {
    const std::set<int> seen = settings.repetition_penalty == 1.0 ? std::set<int>{} : std::set<int>{3, 6};
    const std::vector<std::int32_t> seen_list(seen.begin(), seen.end());
    const auto expected = reference_distribution(row, settings, seen);
    std::map<int, int> counts;
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i) {
      const SampledToken token =
          sample_token(row, settings, {7, 1, static_cast<std::uint64_t>(i)}, "test", seen_list);
      ASSERT_TRUE(expected.contains(token.index)) << token.index;
      EXPECT_NEAR(token.filtered_log_probability, std::log(expected.at(token.index)), 1e-5);
      ++counts[token.index];
    }
    for (const auto& [index, p] : expected)
      EXPECT_NEAR(counts[index] / double(kDraws), p, 5 * std::sqrt(p * (1 - p) / kDraws) + 1e-9);
  }
}

TEST(TokenSampling, GreedyTakesTheFirstOfTies) {
  const std::vector<float> row = {0.0f, 5.0f, 5.0f};
  const SampledToken token = sample_token(row, {.temperature = 0}, {}, "test");
  EXPECT_EQ(token.index, 1);
  EXPECT_NEAR(token.log_probability, 5 - std::log(1 + 2 * std::exp(5.0)), 1e-5);
  EXPECT_EQ(token.filtered_log_probability, 0);
}

TEST(TokenSampling, TopKKeepsTheLowerIndicesOfTies) {
  const std::vector<float> row(10, 1.0f);
  std::set<int> drawn;
  for (std::uint64_t i = 0; i < 500; ++i)
    drawn.insert(sample_token(row, {.top_k = 3}, {1, 2, i}, "test").index);
  EXPECT_EQ(drawn, (std::set<int>{0, 1, 2}));
}

TEST(TokenSampling, DrawDependsOnTheKeyAlone) {
  std::vector<float> row(64);
  CounterRng rng(3);
  for (float& x : row) x = static_cast<float>(rng.normal());
  const int first = sample_token(row, {}, {5, 6, 7}, "test").index;
  EXPECT_EQ(sample_token(row, {}, {5, 6, 7}, "elsewhere").index, first);
  std::set<int> others;
  for (std::uint64_t s = 0; s < 20; ++s) others.insert(sample_token(row, {}, {5, s, 7}, "test").index);
  EXPECT_GT(others.size(), 5u);
}

TEST(TokenSampling, BadRowsNameThePlace) {
  const auto message = [](std::vector<float> row) {
    try {
      sample_token(row, {}, {}, "shape 1: geometry code 17");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const auto& row : std::vector<std::vector<float>>{{}, {1, nan}, {inf, 1}, {kNever, kNever}})
    EXPECT_NE(message(row).find("shape 1: geometry code 17"), std::string::npos);
}

TEST(TokenSampling, ImpossibleSettingsAreRefused) {
  for (const SamplingSettings& bad : std::vector<SamplingSettings>{{.temperature = -1},
                                                                   {.top_k = -2},
                                                                   {.top_p = 0},
                                                                   {.top_p = 1.5},
                                                                   {.min_p = 2},
                                                                   {.repetition_penalty = 0}})
    EXPECT_THROW(validate(bad), Error);
}

TEST(Guidance, FollowsTheFormula) {
  const std::vector<float> none = {1, 2, kNever}, one = {2, 1, kNever}, both = {4, 0, kNever};
  const std::vector<std::span<const float>> rows = {none, one, both};
  const std::vector<double> weights = {3, 1.5};
  const std::vector<float> result = combine_guidance(rows, weights);
  EXPECT_FLOAT_EQ(result[0], 1 + 3 * 1 + 1.5f * 2);
  EXPECT_FLOAT_EQ(result[1], 2 + 3 * -1 + 1.5f * -1);
  EXPECT_EQ(result[2], kNever);
}

}  // namespace
}  // namespace omni::kernels
