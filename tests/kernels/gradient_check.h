#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Largest absolute difference, relative to the larger of 1 and the reference's largest entry.
inline double difference(const at::Tensor& a, const at::Tensor& reference) {
  const at::Tensor wide = reference.to(at::kDouble);
  const double scale = std::max(1.0, wide.abs().max().item<double>());
  return (a.to(at::kDouble) - wide).abs().max().item<double>() / scale;
}

// Values and gradients of `function` against `reference`, which runs in fp64 on the same inputs. The output
// is contracted with fixed noise before the backward pass.
inline void expect_same(const std::vector<at::Tensor>& inputs,
                        const std::function<at::Tensor(const std::vector<at::Tensor>&)>& function,
                        const std::function<at::Tensor(const std::vector<at::Tensor>&)>& reference,
                        double tolerance) {
  std::vector<at::Tensor> own, exact;
  for (const at::Tensor& input : inputs) {
    own.push_back(input.detach().clone().requires_grad_());
    exact.push_back(input.detach().to(at::kDouble).requires_grad_());
  }
  const at::Tensor y = function(own), z = reference(exact);
  ASSERT_EQ(y.sizes(), z.sizes());
  EXPECT_LT(difference(y.detach(), z.detach()), tolerance);
  const at::Tensor noise = at::randn(z.sizes(), at::kDouble);
  (y.to(at::kDouble) * noise).sum().backward();
  (z * noise).sum().backward();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_TRUE(own[i].grad().defined()) << "input " << i;
    EXPECT_LT(difference(own[i].grad(), exact[i].grad()), tolerance) << "gradient of input " << i;
  }
}

}  // namespace omni::kernels
