#include "omni/kernels/swiglu.h"

#include <gtest/gtest.h>

#include "cpu/swiglu_kernels.h"
#include "gradient_check.h"

namespace omni::kernels {
namespace {

TEST(Swiglu, MatchesReferenceWithGradients) {
  at::manual_seed(2);
  for (const int width : {48, 21}) {
    const at::Tensor x = at::randn({150, 2 * width}) * 4;
    const auto reference = [](const std::vector<at::Tensor>& in) {
      const auto halves = in[0].chunk(2, -1);
      return halves[0] / (1 + (-halves[0]).exp()) * halves[1];
    };
    const auto run = [](const std::vector<at::Tensor>& in) { return swiglu(in[0]); };
    expect_same({x}, run, reference, 1e-5);
    expect_same({x.to(at::kBFloat16)}, run, reference, 2e-2);
  }
}

TEST(Swiglu, ExtremeGatesStayFinite) {
  const at::Tensor x = at::tensor({-1e30f, 1e30f, -200.0f, 200.0f, 1.0f, 1.0f, 1.0f, 1.0f}).view({1, 8});
  const at::Tensor y = swiglu(x);
  EXPECT_NEAR(y[0][0].item<float>(), 0, 1e-3);
  EXPECT_FLOAT_EQ(y[0][1].item<float>(), 1e30f);
  EXPECT_NEAR(y[0][2].item<float>(), 0, 1e-6);
  EXPECT_FLOAT_EQ(y[0][3].item<float>(), 200.0f);
}

TEST(Swiglu, EveryInstructionSetAgrees) {
  at::manual_seed(4);
  const at::Tensor x = at::randn({9, 2 * 37}) * 3;
  const auto run = [&](InstructionSet level) {
    at::Tensor y = at::zeros({9, 37}), g = at::zeros({9, 74});
    swiglu_kernels(level).forward(false, x.const_data_ptr(), y.mutable_data_ptr(), 37, 0, 9);
    swiglu_kernels(level).backward(false, x.const_data_ptr(), y.const_data_ptr(), g.mutable_data_ptr(), 37, 0,
                                   9);
    return at::concat({y, g}, 1);
  };
  const at::Tensor plain = run(InstructionSet::generic);
  if (instruction_set() >= InstructionSet::avx2)
    EXPECT_LT(difference(run(InstructionSet::avx2), plain), 1e-6);
  if (instruction_set() >= InstructionSet::avx512)
    EXPECT_LT(difference(run(InstructionSet::avx512), plain), 1e-6);
}

}  // namespace
}  // namespace omni::kernels
