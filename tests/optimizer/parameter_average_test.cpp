#include "omni/optimizer/parameter_average.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

namespace omni::optimizer {
namespace {

TEST(ParameterAverage, FollowsTheFormulaAndSwapsBack) {
  nn::ParameterStore store(1);
  const at::Tensor p = store.add("a", {2}, nn::Init::ones());
  ParameterAverage average(store, 0.9);
  const c10::NoGradGuard guard;
  p.fill_(2);
  average.update(store);
  average.swap(store);
  EXPECT_NEAR(p[0].item<float>(), 1.1f, 1e-6);
  average.swap(store);
  EXPECT_FLOAT_EQ(p[0].item<float>(), 2.0f);
}

}  // namespace
}  // namespace omni::optimizer
