#include "omni/nn/block_executor.h"

#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/kernels/cast_linear.h"
#include "omni/nn/cast_weights.h"

namespace omni::nn {
namespace {

TEST(BlockExecutor, RecomputationGivesTheSameValuesAndGradients) {
  at::manual_seed(1);
  const at::Tensor weight = at::randn({5, 5}).requires_grad_(), x = at::randn({3, 5}).requires_grad_();
  int calls = 0;
  const BlockFunction block = [&](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
    ++calls;
    EXPECT_FALSE(in[1].defined());
    const at::Tensor y = at::mm(in[0], weight).tanh();
    return {y, y * 2};
  };
  std::vector<at::Tensor> values, x_gradients, weight_gradients;
  for (const auto& executor : {make_plain_executor().release(), make_recompute_executor().release()}) {
    const std::unique_ptr<BlockExecutor> owned(executor);
    const auto out = owned->run(3, block, {x, at::Tensor()});
    (out[0].sum() + out[1].square().sum()).backward();
    values.push_back(out[1].detach());
    x_gradients.push_back(x.grad().clone());
    weight_gradients.push_back(weight.grad().clone());
    at::Tensor(x).mutable_grad() = at::Tensor();
    at::Tensor(weight).mutable_grad() = at::Tensor();
  }
  EXPECT_EQ(calls, 3);
  EXPECT_TRUE(values[0].equal(values[1]));
  EXPECT_TRUE(x_gradients[0].allclose(x_gradients[1]));
  EXPECT_TRUE(weight_gradients[0].allclose(weight_gradients[1]));
}

// The first block of a network whose embeddings are frozen.
TEST(BlockExecutor, ParametersGetTheirGradientsWhereNoInputWantsOne) {
  at::manual_seed(2);
  const at::Tensor weight = at::randn({5, 5}).requires_grad_(), x = at::randn({3, 5});
  const BlockFunction block = [&](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
    return {at::mm(in[0], weight).tanh()};
  };
  const auto gradient = [&](const BlockExecutor& executor) {
    at::Tensor(weight).mutable_grad() = at::Tensor();
    executor.run(0, block, {x})[0].square().sum().backward();
    EXPECT_FALSE(x.grad().defined());
    return weight.grad();
  };
  const at::Tensor expected = gradient(*make_plain_executor()),
                   recomputed = gradient(*make_recompute_executor());
  ASSERT_TRUE(recomputed.defined());
  EXPECT_TRUE(recomputed.allclose(expected));
}

// Of three blocks every second one runs again, and its visitor knows.
TEST(BlockExecutor, RecomputesEverySoManyBlocks) {
  struct Visits : BlockVisitor {
    std::vector<std::string> seen;
    void enter(std::size_t unit, Pass pass) override { note("enter", unit, pass); }
    void leave(std::size_t unit, Pass pass) override { note("leave", unit, pass); }
    void note(const char* what, std::size_t unit, Pass pass) {
      seen.push_back(omni::concat(what, ' ', unit, pass == Pass::forward ? " forward" : " backward"));
    }
  };
  at::manual_seed(3);
  const at::Tensor weight = at::randn({5, 5}).requires_grad_(), x = at::randn({3, 5});
  Visits visits;
  const auto executor = make_recompute_executor({2, false, false}, &visits);
  std::vector<int> calls(4);
  at::Tensor rows = x;
  for (std::size_t unit = 1; unit <= 3; ++unit) {
    const BlockFunction block = [&, unit](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
      ++calls[unit];
      return {at::mm(in[0], weight).tanh()};
    };
    rows = executor->run(unit, block, {rows})[0];
  }
  EXPECT_EQ(visits.seen, (std::vector<std::string>{"enter 2 forward", "leave 2 forward"}));
  rows.sum().backward();
  EXPECT_EQ(calls, (std::vector<int>{0, 1, 2, 1}));
  EXPECT_EQ(visits.seen, (std::vector<std::string>{"enter 2 forward", "leave 2 forward", "enter 2 backward",
                                                   "leave 2 backward"}));
}

TEST(CastWeight, IsCastAgainOnlyAfterAChange) {
  at::Tensor weight = at::randn({4, 4});
  const CastWeight cast(weight);
  EXPECT_TRUE(cast.as(at::kFloat).is_same(weight));
  const at::Tensor first = cast.as(at::kBFloat16);
  const auto version = first._version();
  EXPECT_TRUE(cast.as(at::kBFloat16).is_same(first));
  EXPECT_EQ(first._version(), version);
  weight.mul_(2);
  // In the memory of the first copy: the largest tables take gigabytes.
  EXPECT_TRUE(cast.as(at::kBFloat16).is_same(first));
  EXPECT_NE(first._version(), version);
  EXPECT_TRUE(first.equal(weight.to(at::kBFloat16)));
}

TEST(CastWeight, ACopyMadeWithoutGradientsServesTrainingAfterwards) {
  const at::Tensor weight = at::randn({4, 4}).requires_grad_();
  const CastWeight cast(weight);
  {
    const c10::InferenceMode sampling;
    cast.as(at::kBFloat16);
  }
  const at::Tensor x = at::randn({3, 4}).to(at::kBFloat16).requires_grad_();
  kernels::cast_linear(x, weight, cast.as(at::kBFloat16), {}).sum().backward();
  EXPECT_TRUE(x.grad().defined());
  EXPECT_TRUE(weight.grad().defined());
}

}  // namespace
}  // namespace omni::nn
