#include "omni/kernels/cast_linear.h"

#include <gtest/gtest.h>

#include "gradient_check.h"

namespace omni::kernels {
namespace {

TEST(CastLinear, GradientsReachTheMasterWeight) {
  at::manual_seed(5);
  const auto run = [](const std::vector<at::Tensor>& x) { return cast_linear(x[0], x[1], x[1], x[2]); };
  const auto reference = [](const std::vector<at::Tensor>& x) { return at::linear(x[0], x[1], x[2]); };
  expect_same({at::randn({50, 24}), at::randn({40, 24}), at::randn({40})}, run, reference, 1e-5);
  at::Tensor weight = at::randn({40, 24}).requires_grad_();
  const at::Tensor x = at::randn({50, 24}).to(at::kBFloat16);
  cast_linear(x, weight, weight.detach().to(at::kBFloat16), {}).to(at::kFloat).sum().backward();
  EXPECT_EQ(weight.grad().scalar_type(), at::kFloat);
  EXPECT_LT(difference(weight.grad()[0], x.to(at::kFloat).sum(0)), 2e-2);
}

}  // namespace
}  // namespace omni::kernels
