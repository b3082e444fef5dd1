#include <gtest/gtest.h>

#include "omni/nn/layers.h"

namespace omni::nn {
namespace {

void expect_near(const at::Tensor& found, const at::Tensor& truth, double share) {
  const at::Tensor error = (found.to(at::kDouble) - truth).abs();
  EXPECT_LE(error.max().item<double>(), share * truth.abs().max().item<double>());
}

// Values and gradients of every type against the same in double precision, from weights kept in fp32.
TEST(Linear, OfEveryTypeGivesTheClosedFormAndItsGradients) {
  at::manual_seed(1);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    ParameterStore store;
    const Linear layer(ParameterScope(store), 40, 24);
    const at::Tensor x = at::randn({2, 9, 40}).to(type).requires_grad_();
    const at::Tensor noise = at::randn({2, 9, 24}).to(type);
    const at::Tensor y = layer(x);
    ASSERT_EQ(y.scalar_type(), type);
    (y * noise).sum().backward();
    const at::Tensor rows = x.detach().view({18, 40}).to(at::kDouble),
                     sent = noise.view({18, 24}).to(at::kDouble);
    const at::Tensor weight = layer.weight.detach().to(at::kDouble);
    const double share = type == at::kFloat ? 1e-6 : 0.01;
    expect_near(y.detach().view({18, 24}), at::mm(rows, weight.t()) + layer.bias.detach().to(at::kDouble),
                share);
    expect_near(x.grad().view({18, 40}), at::mm(sent, weight), share);
    expect_near(layer.weight.grad(), at::mm(sent.t(), rows), share);
    expect_near(layer.bias.grad(), sent.sum(0), share);
    EXPECT_EQ(x.grad().scalar_type(), type);
    EXPECT_EQ(layer.weight.grad().scalar_type(), at::kFloat);
  }
}

}  // namespace
}  // namespace omni::nn
