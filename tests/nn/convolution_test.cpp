#include <gtest/gtest.h>

#include "omni/nn/layers.h"

namespace omni::nn {
namespace {

// Fills and frees memory, so that what a library forgets to write shows.
void leave_rubbish() {
  for (int size = 10; size <= 20; size += 2) at::full({std::int64_t{1} << size}, 1e4, at::kFloat);
}

TEST(Convolution, Bf16GradientsAreRightWhereTheKernelIsLargerThanTheInput) {
  for (const std::int64_t side : {1, 2, 3}) {
    ParameterStore store;
    const Convolution layer(ParameterScope(store), 3, 32, 32, 3, 1, 1);
    const at::Tensor x = at::randn({4, 32, side, side, side}).to(at::kBFloat16);
    const at::Tensor noise = at::randn({4, 32, side, side, side});
    std::vector<at::Tensor> gradients;
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      store.zero_gradients();
      leave_rubbish();
      (layer(x.to(type)).to(at::kFloat) * noise).sum().backward();
      gradients.push_back(layer.weight.grad().clone());
    }
    const double scale = gradients[0].abs().max().item<double>();
    EXPECT_LT((gradients[1] - gradients[0]).abs().max().item<double>(), 0.03 * scale) << side;
  }
}

}  // namespace
}  // namespace omni::nn
