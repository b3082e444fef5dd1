// The tables of the processor's and the shim's tests on a GPU.
#include <gtest/gtest.h>

#include <cmath>

#include "omni/core/error.h"
#include "omni/kernels/cuda_plugin.h"
#include "omni/kernels/cuda_token_sampler.h"
#include "omni/kernels/tensor.h"
#include "token_sampling_cases.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using sampling_test::Case;
using sampling_test::CaseInput;

class TokenSamplingGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!gpu_refusal().empty()) GTEST_SKIP() << gpu_refusal();
  }
  const at::Device device_{at::kCUDA, 0};
};

CudaTokenSampler::Row row_of(const Case& c, const SamplingKey& key) {
  return {c.settings, key, c.guidance, c.allowed, c.seen};
}

// [conditions + 1, batch, vocabulary]
Tensor logits_of(const std::vector<Case>& cases) {
  const auto conditions = static_cast<std::int64_t>(cases[0].rows.size()),
             width = static_cast<std::int64_t>(cases[0].rows[0].size());
  Tensor logits = at::empty({conditions, static_cast<std::int64_t>(cases.size()), width});
  for (std::int64_t r = 0; r < conditions; ++r)
    for (std::size_t b = 0; b < cases.size(); ++b)
      std::copy(cases[b].rows[r].begin(), cases[b].rows[r].end(),
                logits[r][static_cast<std::int64_t>(b)].mutable_data_ptr<float>());
  return logits;
}

TEST_F(TokenSamplingGpu, DrawsTheProcessorsTokensStepByStep) {
  constexpr std::int64_t kLikely = 5;
  for (const auto& cases : sampling_test::batches_of(sampling_test::all_cases(40'009))) {
    std::vector<CudaTokenSampler::Row> rows;
    for (std::size_t b = 0; b < cases.size(); ++b) rows.push_back(row_of(cases[b], {3, 4 + b, 5}));
    CudaTokenSampler sampler(device_, static_cast<std::int64_t>(cases[0].rows[0].size()), rows, kLikely);
    const Tensor logits = logits_of(cases).to(device_);
    std::vector<Case> grown = cases;
    for (std::uint64_t step = 5; step < 8; ++step) {
      const Tensor tokens = sampler.sample(logits).cpu(), logs = sampler.log_probabilities().cpu(),
                   filtered = sampler.filtered_log_probabilities().cpu(),
                   likely = sampler.likely_tokens().cpu();
      sampler.check(std::vector<std::string>(cases.size(), "test"));
      for (std::size_t i = 0; i < cases.size(); ++i) {
        SCOPED_TRACE(cases[i].name);
        const auto b = static_cast<std::int64_t>(i);
        std::vector<LikelyToken> expected_likely;
        const SampledToken expected = sample_token(CaseInput(grown[i])(), cases[i].settings, {3, 4 + i, step},
                                                   &expected_likely, kLikely);
        EXPECT_EQ(tokens[b].item<std::int32_t>(), expected.index);
        EXPECT_NEAR(logs[b].item<float>(), expected.log_probability,
                    1e-5 + 1e-6 * std::abs(expected.log_probability));
        EXPECT_NEAR(filtered[b].item<float>(), expected.filtered_log_probability,
                    1e-5 + 1e-6 * std::abs(expected.filtered_log_probability));
        for (std::size_t k = 0; k < expected_likely.size(); ++k)
          EXPECT_EQ(likely[b][static_cast<std::int64_t>(k)].item<std::int32_t>(), expected_likely[k].index);
        grown[i].seen.push_back(expected.index);
      }
    }
  }
}

TEST_F(TokenSamplingGpu, BrokenLogitsNameThePlace) {
  const std::vector<CudaTokenSampler::Row> rows(2);
  CudaTokenSampler sampler(device_, 10, rows);
  Tensor logits = at::zeros({1, 2, 10});
  logits[0][1][3] = std::nanf("");
  EXPECT_EQ(sampler.sample(logits.to(device_))[1].item<std::int32_t>(), -1);
  try {
    sampler.check(std::vector<std::string>{"shape 1: code 1", "shape 2: code 7"});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("shape 2: code 7"), std::string::npos);
  }
}

// Also where there is no GPU: the caller learns why.
TEST(CudaTokenSampler, RefusesTheProcessor) {
  EXPECT_NE(CudaTokenSampler::refusal(at::kCPU), "");
  EXPECT_THROW(CudaTokenSampler(at::kCPU, 10, std::vector<CudaTokenSampler::Row>(1)), Error);
}

}  // namespace
}  // namespace omni::kernels
