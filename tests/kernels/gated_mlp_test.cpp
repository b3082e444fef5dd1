#include "omni/kernels/gated_mlp.h"

#include <gtest/gtest.h>

#include "gradient_check.h"
#include "omni/kernels/cast_linear.h"
#include "omni/kernels/swiglu.h"

namespace omni::kernels {
namespace {

using at::Tensor;

Tensor by_steps(const Tensor& x, const CastMatrix& gate_up, const CastMatrix& down) {
  return cast_linear(swiglu(cast_linear(x, gate_up.weight, gate_up.cast, {})), down.weight, down.cast, {});
}

TEST(GatedMlp, MatchesReferenceWithGradients) {
  at::manual_seed(2);
  const auto reference = [](const std::vector<Tensor>& in) {
    const auto halves = at::linear(in[0], in[1]).chunk(2, -1);
    return at::linear(halves[0] / (1 + (-halves[0]).exp()) * halves[1], in[2]);
  };
  for (const std::int64_t rows : {5, 150})
    for (const std::int64_t inner : {48, 21}) {
      const Tensor x = at::randn({rows, 32}), gate_up = at::randn({2 * inner, 32}) / 4,
                   down = at::randn({32, inner}) / 4;
      const auto run = [](const std::vector<Tensor>& in) {
        const auto type = in[0].scalar_type();
        return gated_mlp(in[0], {in[1], in[1].detach().to(type)}, {in[2], in[2].detach().to(type)});
      };
      expect_same({x, gate_up, down}, run, reference, 1e-5);
      const auto rounded = [](const Tensor& tensor) { return tensor.to(at::kBFloat16); };
      expect_same({rounded(x), rounded(gate_up), rounded(down)}, run, reference, 5e-2);
    }
}

// Bit for bit, and no more gradients than are asked for.
TEST(GatedMlp, IsItsStepsOneAfterTheOther) {
  at::manual_seed(3);
  const Tensor rows = at::randn({200, 64}).to(at::kBFloat16),
               incoming = at::randn({200, 64}).to(at::kBFloat16);
  const Tensor gate_up = at::randn({224, 64}) / 8, down = at::randn({64, 112}) / 8;
  for (int wanted = 1; wanted < 8; ++wanted) {
    std::vector<std::vector<Tensor>> results;
    for (const bool at_once : {true, false}) {
      std::vector<Tensor> leaves = {rows.clone(), gate_up.clone(), down.clone()};
      for (int i = 0; i < 3; ++i) leaves[i].requires_grad_((wanted >> i & 1) != 0);
      const auto of = [](const Tensor& weight) {
        return CastMatrix{weight, weight.detach().to(at::kBFloat16)};
      };
      const CastMatrix own_gate_up = of(leaves[1]), own_down = of(leaves[2]);
      const Tensor output =
          at_once ? gated_mlp(leaves[0], own_gate_up, own_down) : by_steps(leaves[0], own_gate_up, own_down);
      output.backward(incoming);
      results.push_back({output.detach(), leaves[0].grad(), leaves[1].grad(), leaves[2].grad()});
    }
    for (int i = 0; i < 4; ++i) {
      ASSERT_EQ(results[0][i].defined(), results[1][i].defined()) << wanted << " " << i;
      if (results[0][i].defined()) EXPECT_TRUE(results[0][i].equal(results[1][i])) << wanted << " " << i;
    }
  }
}

}  // namespace
}  // namespace omni::kernels
