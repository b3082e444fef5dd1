#include "omni/kernels/token_sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "cpu/token_distribution.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "token_sampling_cases.h"

namespace omni::kernels {
namespace {

using sampling_test::all_cases;
using sampling_test::Case;
using sampling_test::CaseInput;
using sampling_test::kNever;
using sampling_test::Reference;
using sampling_test::reference;

std::map<int, double> kept_tokens(const Case& c) {
  const CaseInput input(c);
  TokenScores scores(input());
  if (c.settings.repetition_penalty != 1) scores.penalise(c.settings.repetition_penalty);
  SurveyedScores surveyed(scores, 64, "test");
  TokenDistribution distribution(surveyed, c.settings);
  const CandidateList& list = distribution.candidates();
  std::map<int, double> kept;
  for (std::size_t i = 0; i < list.size(); ++i)
    kept[scores.token(list.indices[i])] =
        static_cast<double>(list.weights[i]) / static_cast<double>(distribution.mass());
  return kept;
}

// The sets are equal but for tokens under the resolution of the weights.
TEST(TokenSampling, KeepsExactlyTheTokensOfTheSortedReference) {
  for (const Case& c : all_cases(5003)) {
    if (c.settings.temperature == 0) continue;
    SCOPED_TRACE(c.name);
    const Reference expected = reference(c);
    const std::map<int, double> kept = kept_tokens(c);
    const double resolution = std::ldexp(1.0, -39);
    std::size_t differing = 0;
    for (const auto& [token, p] : expected.filtered) differing += p > resolution && !kept.contains(token);
    for (const auto& [token, p] : kept) differing += !expected.filtered.contains(token);
    EXPECT_LE(differing, expected.ambiguous ? 1u : 0u);
    if (differing > 0) continue;
    for (const auto& [token, p] : kept) EXPECT_NEAR(p, expected.filtered.at(token), 2e-6 * p + 1e-11);
  }
}

TEST(TokenSampling, ReturnsLogProbabilitiesAndTheLikeliest) {
  for (const Case& c : all_cases(1009)) {
    SCOPED_TRACE(c.name);
    const Reference expected = reference(c);
    const CaseInput input(c);
    std::vector<LikelyToken> likely;
    const SampledToken token = sample_token(input(), c.settings, {3, 4, 5}, &likely, 7);
    if (!expected.filtered.contains(token.index)) {
      EXPECT_TRUE(expected.ambiguous) << token.index;
      continue;
    }
    EXPECT_NEAR(token.log_probability, std::log(expected.unfiltered.at(token.index)), 2e-5);
    if (!expected.ambiguous)
      EXPECT_NEAR(token.filtered_log_probability, std::log(expected.filtered.at(token.index)), 2e-5);
    ASSERT_EQ(likely.size(), std::min<std::size_t>(7, expected.order.size()));
    for (std::size_t i = 0; i < likely.size(); ++i) {
      EXPECT_EQ(likely[i].index, expected.order[i]);
      if (expected.unfiltered.at(likely[i].index) > 1e-12)
        EXPECT_NEAR(likely[i].log_probability, std::log(expected.unfiltered.at(likely[i].index)), 2e-5);
    }
  }
}

// The value that chi-square with that many degrees of freedom exceeds once in a million (Wilson and Hilferty
// 1931).
double chi_square_limit(double freedom) {
  const double spread = 2 / (9 * freedom);
  return freedom * std::pow(1 - spread + 4.75 * std::sqrt(spread), 3);
}

void expect_frequencies(const Case& c, std::uint64_t draws) {
  SCOPED_TRACE(c.name);
  const auto expected = reference(c).filtered;
  const CaseInput input(c);
  std::map<int, std::uint64_t> counts;
  for (std::uint64_t step = 0; step < draws; ++step)
    ++counts[sample_token(input(), c.settings, {7, 1, step}).index];
  for (const auto& [token, count] : counts) ASSERT_TRUE(expected.contains(token)) << token;
  double statistic = 0, rest = 0, rest_count = 0, groups = 0;
  const auto add = [&](double count, double mean) {
    statistic += (count - mean) * (count - mean) / mean;
    ++groups;
  };
  for (const auto& [token, p] : expected) {
    const double mean = p * static_cast<double>(draws);
    if (mean >= 10) {
      add(static_cast<double>(counts[token]), mean);
    } else {
      rest += mean;
      rest_count += static_cast<double>(counts[token]);
    }
  }
  if (rest >= 10) add(rest_count, rest);
  if (groups > 1) EXPECT_LT(statistic, chi_square_limit(groups - 1));
}

std::vector<Case> frequency_cases() {
  CounterRng rng(5);
  const std::vector<SamplingSettings> settings = {
      {},
      {.temperature = 0.7, .top_k = 9},
      {.top_p = 0.8},
      {.min_p = 0.1},
      {.temperature = 1.5, .top_k = 20, .top_p = 0.9, .min_p = 0.1, .repetition_penalty = 1.3}};
  std::vector<Case> cases;
  for (std::size_t i = 0; i < settings.size(); ++i) {
    Case c;
    c.name = "settings " + std::to_string(i);
    const auto kind = i % 2 == 0 ? sampling_test::RowKind::steps : sampling_test::RowKind::infinite;
    c.rows = {sampling_test::make_row(kind, 60, rng), sampling_test::make_row(kind, 60, rng)};
    c.guidance = {1.5};
    c.allowed = {{2, 11}, {20, 30}, {50, 1}, {57, 3}};
    c.rows[0][2] = c.rows[1][2] = 1;
    c.seen = {3, 21, 22, 50};
    c.settings = settings[i];
    cases.push_back(c);
  }
  return cases;
}

TEST(TokenSampling, FrequenciesMatchTheReference) {
  for (const Case& c : frequency_cases()) expect_frequencies(c, 20'000);
}

TEST(TokenSamplingSlow, AMillionDrawsMatchTheReference) {
  for (const Case& c : frequency_cases()) expect_frequencies(c, 1'000'000);
}

// Every token's weight, and so the sum, is the same wherever it stands.
TEST(TokenSampling, OrderOfSummationHasNoSay) {
  CounterRng rng(17);
  std::vector<float> row = sampling_test::make_row(sampling_test::RowKind::normal, 4099, rng), reversed = row;
  std::reverse(reversed.begin(), reversed.end());
  Case forwards{"forwards", {row}, {}, {}, {}, {.temperature = 0.9, .top_p = 0.95}};
  Case backwards{"backwards", {reversed}, {}, {}, {}, forwards.settings};
  const CaseInput a(forwards), b(backwards);
  for (std::uint64_t step = 0; step < 200; ++step) {
    const SampledToken x = sample_token(a(), forwards.settings, {1, 2, step});
    const SampledToken y = sample_token(b(), forwards.settings, {1, 2, step});
    EXPECT_EQ(x.index, 4098 - y.index);
    EXPECT_NEAR(x.log_probability, y.log_probability, 1e-5);
    EXPECT_EQ(x.filtered_log_probability, y.filtered_log_probability);
  }
}

TEST(TokenSampling, TiesGoToTheEarlierAllowedToken) {
  Case c{"ties", {std::vector<float>(10, 1.0f)}, {}, {{6, 3}, {1, 4}}, {}, {.top_k = 5}};
  const CaseInput input(c);
  std::set<int> drawn;
  for (std::uint64_t i = 0; i < 500; ++i) drawn.insert(sample_token(input(), c.settings, {1, 2, i}).index);
  EXPECT_EQ(drawn, (std::set<int>{6, 7, 8, 1, 2}));
  EXPECT_EQ(sample_token(input(), {.temperature = 0}, {}).index, 6);
}

TEST(TokenSampling, DrawDependsOnTheKeyAlone) {
  CounterRng rng(3);
  const std::vector<float> row = sampling_test::make_row(sampling_test::RowKind::normal, 64, rng);
  const int first = sample_token(row, {.temperature = 3}, {5, 6, 7}, "test").index;
  EXPECT_EQ(sample_token(row, {.temperature = 3}, {5, 6, 7}, "elsewhere").index, first);
  std::set<int> others;
  for (std::uint64_t s = 0; s < 40; ++s)
    others.insert(sample_token(row, {.temperature = 3}, {5, s, 7}, "test").index);
  EXPECT_GT(others.size(), 5u);
}

TEST(TokenSampling, BadRowsNameThePlace) {
  const auto message = [](std::vector<std::vector<float>> rows, std::vector<TokenRun> allowed) {
    Case c{"", rows, std::vector<double>(rows.size() - 1, 2.0), allowed, {}, {}};
    const CaseInput input(c);
    SamplingInput named = input();
    named.place = "shape 1: geometry code 17";
    try {
      sample_token(named, {}, {});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const std::vector<std::vector<std::vector<float>>> bad = {{{}},
                                                            {{1, nan}},
                                                            {{inf, 1}},
                                                            {{kNever, kNever}},
                                                            {{1, 2}, {nan, 3}},
                                                            {{1, 2}, {3, inf}},
                                                            {{kNever, 2}, {1, kNever}},
                                                            {{-3e38f, 1}, {3e38f, 1}}};
  for (const auto& rows : bad)
    EXPECT_NE(message(rows, {}).find("shape 1: geometry code 17"), std::string::npos);
  EXPECT_NE(message({{1, 2}}, {{0, 0}, {1, 0}}).find("shape 1: geometry code 17"), std::string::npos);
  // What may not be chosen may be anything.
  EXPECT_EQ(message({{1, nan, 2}}, {{0, 1}, {2, 1}}), "");
}

TEST(TokenSampling, BrokenInputsAreRefused) {
  const std::vector<float> row = {1, 2, 3};
  const std::vector<std::vector<TokenRun>> ranges = {
      {{-1, 2}}, {{2, 2}}, {{0, -1}}, {{0, 2}, {1, 2}}, {{2147483647, 2147483647}}, std::vector<TokenRun>(9)};
  for (const auto& allowed : ranges) {
    Case c{"", {row}, {}, allowed, {}, {}};
    EXPECT_THROW(sample_token(CaseInput(c)(), {}, {}), Error);
  }
  Case ragged{"", {row, {1, 2}}, {1.0}, {}, {}, {}};
  EXPECT_THROW(sample_token(CaseInput(ragged)(), {}, {}), Error);
  Case unweighted{"", {row, row}, {}, {}, {}, {}};
  EXPECT_THROW(sample_token(CaseInput(unweighted)(), {}, {}), Error);
  for (const SamplingSettings& bad : std::vector<SamplingSettings>{{.temperature = -1},
                                                                   {.temperature = 1e9},
                                                                   {.temperature = std::nan("")},
                                                                   {.top_k = -2},
                                                                   {.top_p = 0},
                                                                   {.top_p = 1.5},
                                                                   {.min_p = 2},
                                                                   {.repetition_penalty = 0}})
    EXPECT_THROW(sample_token(row, bad, {}, "test"), Error);
}

TEST(TokenRules, RandomBitsAreThoseOfCounterRng) {
  CounterRng keys(1);
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t seed = keys.next_u64(), stream = keys.next_u64();
    EXPECT_EQ(token_rules::random_bits(seed, stream), CounterRng(seed, stream).next_u64());
  }
}

TEST(TokenRules, WeightsFollowTheExponential) {
  CounterRng rng(2);
  for (int i = 0; i < 100'000; ++i) {
    const double temperature = std::exp(rng.uniform(-3, 3));
    const auto peak = static_cast<float>(rng.uniform(-50, 50));
    const auto score = static_cast<float>(peak - temperature * rng.uniform(0, 15));
    const double exact = std::exp((static_cast<double>(score) - peak) / temperature) * 0x1p40;
    const auto weight =
        static_cast<double>(token_rules::weight_of(score, peak, token_rules::scale_of(temperature)));
    ASSERT_NEAR(weight, exact, exact * 1.5e-6 + 1) << score << " " << peak << " " << temperature;
  }
  EXPECT_EQ(token_rules::weight_of(3, 3, token_rules::scale_of(1e-300)), 1ull << 40);
  EXPECT_EQ(token_rules::weight_of(kNever, 3, token_rules::scale_of(1)), 0u);
  EXPECT_EQ(token_rules::weight_of(-3e38f, 3e38f, token_rules::scale_of(1e-300)), 0u);
}

TEST(TokenRules, KeysAreOrderedLikeScores) {
  const std::vector<float> ascending = {kNever, -3e38f, -1.5f, -1e-42f, 0.0f, 1e-42f, 2.0f, 3e38f};
  for (std::size_t i = 1; i < ascending.size(); ++i)
    EXPECT_LT(token_rules::key_of(ascending[i - 1]), token_rules::key_of(ascending[i]));
  EXPECT_EQ(token_rules::key_of(-0.0f), token_rules::key_of(0.0f));
  for (const float x : ascending) EXPECT_EQ(token_rules::score_of(token_rules::key_of(x)), x);
}

TEST(TokenRules, SharesRoundUp) {
  EXPECT_EQ(token_rules::share_of(10, token_rules::share_from(0.5)), 5u);
  EXPECT_EQ(token_rules::share_of(11, token_rules::share_from(0.5)), 6u);
  EXPECT_EQ(token_rules::multiply_high(~0ull, ~0ull), ~0ull - 1);
  EXPECT_EQ(token_rules::multiply_high(1ull << 63, 6), 3u);
}

std::vector<InstructionSet> levels() {
  std::vector<InstructionSet> result = {InstructionSet::generic};
  if (instruction_set() >= InstructionSet::avx2) result.push_back(InstructionSet::avx2);
  if (instruction_set() >= InstructionSet::avx512) result.push_back(InstructionSet::avx512);
  return result;
}

// Not just close: the token must not depend on the machine.
TEST(TokenRows, EveryInstructionSetGivesTheSameBits) {
  CounterRng rng(23);
  for (const std::int64_t count : {1, 15, 16, 33, 1000, 4133}) {
    for (int repeat = 0; repeat < 8; ++repeat) {
      const auto kind = repeat % 2 == 0 ? sampling_test::RowKind::normal : sampling_test::RowKind::infinite;
      std::vector<float> a = sampling_test::make_row(kind, count, rng),
                         b = sampling_test::make_row(kind, count, rng);
      const float peak = std::max(*std::max_element(a.begin(), a.end()), 0.0f);
      const token_rules::Scale scale = token_rules::scale_of(std::exp(rng.normal()));
      const float* rows[] = {a.data(), b.data(), a.data()};
      const float weights[] = {1.7f, -0.3f};
      std::vector<std::vector<float>> combined, maxima, found;
      std::vector<std::vector<std::uint64_t>> weighed;
      std::vector<std::vector<std::int32_t>> indices;
      std::vector<std::uint64_t> totals;
      for (const InstructionSet level : levels()) {
        const TokenSamplingKernels& k = token_sampling_kernels(level);
        std::vector<float>& scores = combined.emplace_back(count);
        EXPECT_TRUE(k.combine(rows, weights, 2, count, scores.data()));
        EXPECT_TRUE(k.survey(a.data(), count, 48, maxima.emplace_back((count + 47) / 48).data()));
        totals.push_back(k.total(a.data(), count, peak, scale));
        k.weigh(a.data(), count, peak, scale, weighed.emplace_back(count).data());
        std::vector<float>& scores_found = found.emplace_back(count + 16);
        std::vector<std::int32_t>& places = indices.emplace_back(count + 16);
        const std::int64_t kept = k.gather(a.data(), count, -0.25f, 5, scores_found.data(), places.data());
        scores_found.resize(kept);
        places.resize(kept);
        EXPECT_EQ(kept, std::count_if(a.begin(), a.end(), [](float x) { return x >= -0.25f; }));
        std::uint64_t sum = 0;
        for (std::int64_t i = 0; i < count; ++i) sum += token_rules::weight_of(a[i], peak, scale);
        EXPECT_EQ(totals.back(), sum);
        double exact = 0;
        for (const float x : a) exact += std::exp(static_cast<double>(x) - peak);
        EXPECT_NEAR(k.exponential_sum(a.data(), count, peak), exact, 1e-6 * exact);
      }
      for (std::size_t i = 1; i < levels().size(); ++i) {
        EXPECT_EQ(combined[i], combined[0]);
        EXPECT_EQ(maxima[i], maxima[0]);
        EXPECT_EQ(weighed[i], weighed[0]);
        EXPECT_EQ(found[i], found[0]);
        EXPECT_EQ(indices[i], indices[0]);
      }
    }
  }
}

TEST(TokenCuts, MatchABruteForceSearch) {
  CounterRng rng(31);
  for (int repeat = 0; repeat < 60; ++repeat) {
    CandidateList list;
    const std::size_t count = 1 + rng.below(repeat < 30 ? 40 : 3000);
    for (std::size_t i = 0; i < count; ++i) {
      const double spread = repeat % 3 == 0 ? 2 : 1000;
      list.scores.push_back(static_cast<float>(std::round(rng.normal() * spread) / 8));
      list.indices.push_back(static_cast<std::int32_t>(i));
      list.weights.push_back(static_cast<std::uint64_t>(std::exp(list.scores.back() / spread) * 1000));
    }
    std::vector<std::size_t> order(count);
    for (std::size_t i = 0; i < count; ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return list.scores[a] > list.scores[b]; });
    for (const CutMeasure measure : {CutMeasure::count, CutMeasure::mass}) {
      std::vector<std::uint64_t> reached;
      std::uint64_t total = 0;
      for (const std::size_t i : order)
        reached.push_back(total += measure == CutMeasure::mass ? list.weights[i] : 1);
      if (total == 0) continue;
      for (int trial = 0; trial < 10; ++trial) {
        const std::uint64_t needed = trial == 0 ? total : 1 + rng.below(total);
        const std::size_t length =
            std::lower_bound(reached.begin(), reached.end(), needed) - reached.begin() + 1;
        const TokenCut cut = find_cut(list, measure, needed);
        EXPECT_EQ(last_of_prefix(list, cut), order[length - 1]);
        std::vector<std::size_t> expected(order.begin(), order.begin() + length);
        std::sort(expected.begin(), expected.end());
        const CandidateList kept = prefix_of(list, cut);
        EXPECT_EQ(std::vector<std::size_t>(kept.indices.begin(), kept.indices.end()), expected);
      }
    }
  }
}

}  // namespace
}  // namespace omni::kernels
