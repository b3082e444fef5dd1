#include "omni/kernels/add_norm.h"

#include <gtest/gtest.h>

#include "gradient_check.h"

namespace omni::kernels {
namespace {

class AddNormTest : public testing::TestWithParam<std::tuple<NormKind, int, bool, bool, bool>> {};

TEST_P(AddNormTest, MatchesReferenceWithGradients) {
  at::manual_seed(1);
  const auto [kind, width, with_delta, with_weight, bf16] = GetParam();
  const std::int64_t rows = 300;
  std::vector<at::Tensor> inputs = {at::randn({rows, width}) + 0.3};
  const auto type = bf16 ? at::kBFloat16 : at::kFloat;
  if (with_delta) inputs.push_back(at::randn({rows, width}).to(type));
  if (with_weight) inputs.push_back(at::rand({width}) + 0.5);
  const auto pick = [&](const std::vector<at::Tensor>& x) {
    return std::pair{with_delta ? x[1] : at::Tensor(), with_weight ? x.back() : at::Tensor()};
  };
  const NormOptions options{kind, 1e-6, type};
  const auto run = [&](const std::vector<at::Tensor>& x) {
    const auto [delta, weight] = pick(x);
    const auto [sum, normed] = add_norm(x[0], delta, weight, options);
    return at::concat({sum, normed.to(at::kFloat)});
  };
  const auto reference = [&](const std::vector<at::Tensor>& x) {
    const auto [delta, weight] = pick(x);
    const at::Tensor sum = delta.defined() ? x[0] + delta : x[0];
    const at::Tensor mean = kind == NormKind::layer ? sum.mean(1, true) : at::zeros({1}, at::kDouble);
    at::Tensor normed = (sum - mean) * ((sum - mean).square().mean(1, true) + 1e-6).rsqrt();
    if (weight.defined()) normed = normed * weight;
    return at::concat({sum, normed});
  };
  expect_same(inputs, run, reference, bf16 ? 2e-2 : 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Cases, AddNormTest,
                         testing::Combine(testing::Values(NormKind::root_mean_square, NormKind::layer),
                                          testing::Values(32, 37), testing::Bool(), testing::Bool(),
                                          testing::Bool()));

}  // namespace
}  // namespace omni::kernels
