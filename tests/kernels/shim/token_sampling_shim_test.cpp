// The GPU's token sampling against the processor's, which must give the same tokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "cuda_sampling_row.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "shim/orders.h"
#include "token_sampling_cases.h"
#include "token_sampling_launch.cuh"

namespace omni::kernels {
namespace {

using sampling_test::Case;
using sampling_test::CaseInput;
using sampling_test::kNever;

constexpr int kLikely = 5;

// All that one launch writes; compared bit by bit between schedules.
struct Outputs {
  std::vector<std::int32_t> tokens, statuses, likely_tokens;
  std::vector<float> logs, filtered_logs, likely_logs;
  std::vector<std::uint32_t> seen;
  std::vector<std::uint64_t> steps;
  bool operator==(const Outputs&) const = default;
};

// A batch of cases of one vocabulary and number of conditions, in memory as a launch wants it. T: element
// type.
template <class T>
class Batch {
 public:
  Batch(const std::vector<Case>& cases, const SamplingKey& key) : cases_(cases) {
    const auto batch = static_cast<std::int64_t>(cases.size());
    const Case& first = cases[0];
    const auto width = static_cast<std::int64_t>(first.rows[0].size());
    const auto conditions = static_cast<std::int64_t>(first.guidance.size());
    // Rows stand apart by more than their length.
    const std::int64_t stride = width + 3;
    logits_.assign((conditions + 1) * batch * stride, T(std::numeric_limits<float>::quiet_NaN()));
    ranges_.assign(batch * kOmniCudaMostRanges * 2, 0);
    const std::int64_t words = (width + 31) / 32;
    seen_.assign(batch * words, 0);
    for (std::int64_t b = 0; b < batch; ++b) {
      const Case& c = cases[b];
      for (std::int64_t r = 0; r <= conditions; ++r)
        for (std::int64_t i = 0; i < width; ++i) logits_[(r * batch + b) * stride + i] = T(c.rows[r][i]);
      for (const double weight : c.guidance) guidance_.push_back(static_cast<float>(weight));
      std::int32_t* ranges = ranges_.data() + b * kOmniCudaMostRanges * 2;
      if (c.allowed.empty()) ranges[1] = static_cast<std::int32_t>(width);
      for (std::size_t r = 0; r < c.allowed.size(); ++r) {
        ranges[2 * r] = c.allowed[r].first;
        ranges[2 * r + 1] = c.allowed[r].size;
      }
      for (const std::int32_t token : c.seen)
        if (token >= 0 && token < width) seen_[b * words + token / 32] |= 1u << (token % 32);
      rows_.push_back(
          cuda_sampling_row(c.settings, {key.seed, key.sequence + static_cast<std::uint64_t>(b), key.step}));
    }
    arguments_.logits = logits_.data();
    arguments_.condition_stride = batch * stride;
    arguments_.row_stride = stride;
    arguments_.type = std::is_same_v<T, float>    ? kOmniCudaFloat
                      : std::is_same_v<T, __half> ? kOmniCudaFloat16
                                                  : kOmniCudaBfloat16;
    arguments_.batch = static_cast<std::int32_t>(batch);
    arguments_.vocabulary = static_cast<std::int32_t>(width);
    arguments_.conditions = static_cast<std::int32_t>(conditions);
    arguments_.guidance = guidance_.data();
    arguments_.ranges = ranges_.data();
    arguments_.likely_count = kLikely;
  }

  // Runs `launch` as often as said, one step after the other, and returns what the last run wrote.
  template <class Launch>
  Outputs run(const Launch& launch, std::int64_t workspace_bytes, int steps = 1) const {
    Outputs out;
    const std::size_t batch = cases_.size();
    out.tokens.assign(batch, -7);
    out.statuses.assign(batch, -7);
    out.likely_tokens.assign(batch * kLikely, -7);
    out.logs.assign(batch, -7);
    out.filtered_logs.assign(batch, -7);
    out.likely_logs.assign(batch * kLikely, -7);
    out.seen = seen_;
    std::vector<OmniCudaSamplingRow> rows = rows_;
    std::vector<std::uint64_t> workspace((workspace_bytes + 7) / 8);
    OmniCudaTokenSampling a = arguments_;
    a.seen = out.seen.data();
    a.rows = rows.data();
    a.tokens = out.tokens.data();
    a.statuses = out.statuses.data();
    a.log_probabilities = out.logs.data();
    a.filtered_log_probabilities = out.filtered_logs.data();
    a.likely_tokens = out.likely_tokens.data();
    a.likely_log_probabilities = out.likely_logs.data();
    a.workspace = workspace.data();
    for (int step = 0; step < steps; ++step) EXPECT_EQ(launch(a), 0);
    for (const OmniCudaSamplingRow& row : rows) out.steps.push_back(row.step);
    return out;
  }

 private:
  const std::vector<Case>& cases_;
  std::vector<T> logits_;
  std::vector<std::int32_t> ranges_;
  std::vector<float> guidance_;
  std::vector<std::uint32_t> seen_;
  std::vector<OmniCudaSamplingRow> rows_;
  OmniCudaTokenSampling arguments_{};
};

// Row b of the outputs against the processor's choice for the case.
void expect_same_choice(const Case& c, const SamplingKey& key, const Outputs& out, std::size_t b) {
  SCOPED_TRACE(c.name);
  std::vector<LikelyToken> likely;
  const SampledToken expected = sample_token(CaseInput(c)(), c.settings, key, &likely, kLikely);
  EXPECT_EQ(out.statuses[b], kOmniCudaSampled);
  EXPECT_EQ(out.tokens[b], expected.index);
  EXPECT_NEAR(out.logs[b], expected.log_probability, 1e-5 + 1e-6 * std::abs(expected.log_probability));
  EXPECT_NEAR(out.filtered_logs[b], expected.filtered_log_probability,
              1e-5 + 1e-6 * std::abs(expected.filtered_log_probability));
  EXPECT_EQ(out.steps[b], key.step + 1);
  const std::size_t words = out.seen.size() / out.tokens.size();
  EXPECT_TRUE(out.seen[b * words + expected.index / 32] >> (expected.index % 32) & 1u);
  for (std::size_t i = 0; i < kLikely; ++i) {
    EXPECT_EQ(out.likely_tokens[b * kLikely + i], i < likely.size() ? likely[i].index : -1);
    if (i < likely.size())
      EXPECT_NEAR(out.likely_logs[b * kLikely + i], likely[i].log_probability,
                  1e-5 + 1e-6 * std::abs(likely[i].log_probability));
  }
}

template <int kThreads>
std::int64_t workspace_of(int batch, int vocabulary, int parts) {
  cuda::Carver carver(nullptr);
  cuda::carve<kThreads>(carver, batch, vocabulary, parts);
  return carver.bytes();
}

// Runs the cases as one batch under every schedule.
template <int kThreads, class T = float>
void expect_like_processor(const std::vector<Case>& cases, int parts) {
  const SamplingKey key{3, 4, 5};
  const Batch<T> batch(cases, key);
  const std::int64_t bytes = workspace_of<kThreads>(static_cast<int>(cases.size()),
                                                    static_cast<int>(cases[0].rows[0].size()), parts);
  Outputs out;
  const std::string different = shim::for_every_order(
      [&] {
        return batch.run(
            [&](const OmniCudaTokenSampling& a) {
              return cuda::launch_token_sampling<kThreads>(a, parts, nullptr);
            },
            bytes);
      },
      out);
  EXPECT_EQ(different, "");
  for (std::size_t b = 0; b < cases.size(); ++b)
    expect_same_choice(cases[b], {key.seed, key.sequence + b, key.step}, out, b);
}

TEST(TokenSamplingShim, DrawsTheProcessorsTokens) {
  for (const auto& cases : sampling_test::batches_of(sampling_test::all_cases(700)))
    expect_like_processor<128>(cases, 3);
}

// More candidates than a block can list, and more of them tied.
TEST(TokenSamplingShim, LongRowsAreNarrowedWithoutAList) {
  CounterRng rng(41);
  std::vector<Case> cases;
  for (const auto kind :
       {sampling_test::RowKind::flat, sampling_test::RowKind::steps, sampling_test::RowKind::normal}) {
    for (const SamplingSettings& settings :
         std::vector<SamplingSettings>{{},
                                       {.top_k = 6000},
                                       {.top_k = 6000, .top_p = 0.97},
                                       {.top_p = 0.99},
                                       {.temperature = 0},
                                       {.temperature = 2, .min_p = 1e-4}}) {
      Case c;
      c.name = "long, kind " + std::to_string(static_cast<int>(kind));
      c.rows = {sampling_test::make_row(kind, 9001, rng)};
      c.settings = settings;
      cases.push_back(c);
    }
  }
  expect_like_processor<128>(cases, 2);
}

TEST(TokenSamplingShim, HalfPrecisionLogitsAreExact) {
  CounterRng rng(43);
  std::vector<Case> cases;
  for (int i = 0; i < 4; ++i) {
    Case c;
    c.name = "steps " + std::to_string(i);
    c.rows = {sampling_test::make_row(sampling_test::RowKind::steps, 333, rng)};  // exact in all types
    c.settings = {.temperature = 0.9, .top_k = 30, .top_p = 0.9};
    cases.push_back(c);
  }
  expect_like_processor<128, __nv_bfloat16>(cases, 1);
  expect_like_processor<128, __half>(cases, 1);
}

TEST(TokenSamplingShim, FailuresGiveNoToken) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  std::vector<Case> cases;
  const auto add = [&](std::vector<float> row, std::vector<TokenRun> allowed) {
    cases.push_back({"", {std::move(row)}, {}, std::move(allowed), {}, {.top_k = 2}});
  };
  add({1, 2, nan, 3}, {});
  add({1, inf, 2, 3}, {});
  add({kNever, kNever, kNever, kNever}, {});
  add({1, 2, 3, 4}, {{2, 0}});
  add({1, nan, 3, 4}, {{0, 1}, {2, 2}});  // the broken one is not allowed
  const Batch<float> batch(cases, {});
  Outputs out;
  const std::string different = shim::for_every_order(
      [&] {
        return batch.run([](const auto& a) { return cuda::launch_token_sampling<128>(a, 2, nullptr); },
                         workspace_of<128>(5, 4, 2));
      },
      out);
  EXPECT_EQ(different, "");
  EXPECT_EQ(out.statuses, (std::vector<std::int32_t>{kOmniCudaNotFinite, kOmniCudaNotFinite, kOmniCudaNoToken,
                                                     kOmniCudaNoToken, kOmniCudaSampled}));
  for (std::size_t b = 0; b < 4; ++b) EXPECT_EQ(out.tokens[b], -1);
  EXPECT_NE(out.tokens[4], 1);
}

// The interface that the library calls, at its own number of threads; the workspace serves launch after
// launch.
TEST(TokenSamplingShim, StepsFollowEachOther) {
  CounterRng rng(47);
  Case c;
  c.name = "steps";
  c.rows = {sampling_test::make_row(sampling_test::RowKind::normal, 9000, rng)};
  c.settings = {.temperature = 0.8, .top_k = 20, .top_p = 0.9, .repetition_penalty = 1.4};
  const std::vector<Case> cases = {c, c};
  const SamplingKey key{1, 2, 3};
  const Batch<float> batch(cases, key);
  const Outputs out = batch.run([](const auto& a) { return omni_cuda_token_sampling(&a, nullptr); },
                                omni_cuda_token_sampling_workspace(2, 9000), 3);
  for (std::size_t b = 0; b < 2; ++b) {
    Case own = c;
    for (std::uint64_t step = 3; step < 5; ++step)
      own.seen.push_back(sample_token(CaseInput(own)(), own.settings, {1, 2 + b, step}).index);
    expect_same_choice(own, {1, 2 + b, 5}, out, b);
  }
}

TEST(TokenSamplingShim, ImpossibleSizesAreRefused) {
  OmniCudaTokenSampling a{};
  a.batch = 1;
  EXPECT_NE(omni_cuda_token_sampling(&a, nullptr), 0);  // no vocabulary
  a.vocabulary = 10;
  a.likely_count = kOmniCudaMostLikely + 1;
  EXPECT_NE(omni_cuda_token_sampling(&a, nullptr), 0);
  a.likely_count = 0;
  a.batch = 0;
  EXPECT_EQ(omni_cuda_token_sampling(&a, nullptr), 0);
}

}  // namespace
}  // namespace omni::kernels
