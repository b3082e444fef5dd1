#include "omni/kernels/fused_rows.h"

#include <ATen/core/grad_mode.h>

#include <gtest/gtest.h>

#include "cpu/row_kernels.h"
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
    return at::cat({sum, normed.to(at::kFloat)});
  };
  const auto reference = [&](const std::vector<at::Tensor>& x) {
    const auto [delta, weight] = pick(x);
    const at::Tensor sum = delta.defined() ? x[0] + delta : x[0];
    const at::Tensor mean = kind == NormKind::layer ? sum.mean(1, true) : at::zeros({1}, at::kDouble);
    at::Tensor normed = (sum - mean) * ((sum - mean).square().mean(1, true) + 1e-6).rsqrt();
    if (weight.defined()) normed = normed * weight;
    return at::cat({sum, normed});
  };
  expect_same(inputs, run, reference, bf16 ? 2e-2 : 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Cases, AddNormTest,
                         testing::Combine(testing::Values(NormKind::root_mean_square, NormKind::layer),
                                          testing::Values(32, 37), testing::Bool(), testing::Bool(),
                                          testing::Bool()));

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

at::Tensor exact_objective(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& weights,
                           double z_loss) {
  const at::Tensor log_sums = logits.logsumexp(1);
  const at::Tensor losses = log_sums - logits.gather(1, targets.to(at::kLong).unsqueeze(1)).squeeze(1);
  return (weights.to(at::kDouble) * (losses + z_loss * log_sums.square())).sum();
}

TEST(RowCrossEntropy, MatchesReferenceWithGradients) {
  at::manual_seed(3);
  const at::Tensor targets = at::randint(43, {200}, at::kInt), weights = at::rand({200});
  for (const double z_loss : {0.0, 0.1}) {
    const auto run = [&](const std::vector<at::Tensor>& x) {
      return row_cross_entropy(x[0], x[1], targets, weights, z_loss).objective.unsqueeze(0);
    };
    const auto reference = [&](const std::vector<at::Tensor>& x) {
      return exact_objective(at::mm(x[0], x[1].t()), targets, weights, z_loss).unsqueeze(0);
    };
    expect_same({at::randn({200, 32}), at::randn({43, 32})}, run, reference, 1e-5);
  }
}

// More logits than are held at a time: three chunks, the last one smaller.
TEST(RowCrossEntropySlow, ChunksMatchReferenceWithGradients) {
  at::manual_seed(6);
  const std::int64_t rows = 2400, classes = 33000;
  const at::Tensor targets = at::randint(classes, {rows}, at::kInt), weights = at::rand({rows});
  const at::Tensor hidden = at::randn({rows, 8}), table = at::randn({classes, 8});
  // fp16 has no kernel on the CPU: it runs the tensor operations that GPUs run.
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const at::Tensor x = hidden.to(type, false, true).requires_grad_(), t = table.clone().requires_grad_();
    const RowCrossEntropy loss = row_cross_entropy(x, t, targets, weights, 0.1);
    (loss.objective * 0.5).backward();
    // The truth in blocks of rows, in double precision, by the formula of the gradient.
    const at::Tensor wide = x.detach().to(at::kDouble), other = table.to(type).to(at::kDouble);
    at::Tensor x_gradient = at::zeros_like(wide), t_gradient = at::zeros_like(other);
    double objective = 0;
    for (std::int64_t first = 0; first < rows; first += 300) {
      const at::Tensor own = wide.narrow(0, first, 300), w = weights.narrow(0, first, 300).to(at::kDouble);
      const at::Tensor index = targets.narrow(0, first, 300).to(at::kLong).unsqueeze(1);
      const at::Tensor logits = at::mm(own, other.t()), sums = logits.logsumexp(1);
      objective +=
          (w * (sums - logits.gather(1, index).squeeze(1) + 0.1 * sums.square())).sum().item<double>();
      at::Tensor g = (logits - sums.unsqueeze(1)).exp() * (w * (1 + 0.2 * sums)).unsqueeze(1);
      g.scatter_add_(1, index, -w.unsqueeze(1));
      x_gradient.narrow(0, first, 300).copy_(at::mm(g, other) * 0.5);
      t_gradient.add_(at::mm(g.t(), own), 0.5);
    }
    const double tolerance = type == at::kFloat ? 1e-4 : 2e-2;
    EXPECT_NEAR(loss.objective.item<double>(), objective, tolerance * objective);
    EXPECT_LT(difference(x.grad(), x_gradient), tolerance);
    EXPECT_LT(difference(t.grad(), t_gradient), tolerance);
    const c10::NoGradGuard guard;
    EXPECT_TRUE(row_cross_entropy(x, t, targets, weights, 0.1).losses.equal(loss.losses));
  }
}

TEST(RowCrossEntropy, CountsTheLowestOfTiesAsBest) {
  const at::Tensor hidden = at::ones({3, 16}), rows = at::ones({5, 16});
  const at::Tensor targets = at::tensor({0, 1, 4}, at::kInt);
  const RowCrossEntropy loss = row_cross_entropy(hidden, rows, targets, at::ones({3}), 0);
  EXPECT_TRUE(loss.correct[0].item<bool>());
  EXPECT_FALSE(loss.correct[1].item<bool>());
  EXPECT_NEAR(loss.losses[2].item<float>(), std::log(5.0), 1e-6);
}

TEST(RowKernels, EveryInstructionSetAgrees) {
  at::manual_seed(4);
  const at::Tensor x = at::randn({9, 2 * 37}) * 3;
  const auto run = [&](InstructionSet level) {
    at::Tensor y = at::zeros({9, 37}), g = at::zeros({9, 74});
    row_kernels(level).swiglu_forward(false, x.const_data_ptr(), y.mutable_data_ptr(), 37, 0, 9);
    row_kernels(level).swiglu_backward(false, x.const_data_ptr(), y.const_data_ptr(), g.mutable_data_ptr(),
                                       37, 0, 9);
    return at::cat({y, g}, 1);
  };
  const at::Tensor plain = run(InstructionSet::generic);
  if (instruction_set() >= InstructionSet::avx2)
    EXPECT_LT(difference(run(InstructionSet::avx2), plain), 1e-6);
  if (instruction_set() >= InstructionSet::avx512)
    EXPECT_LT(difference(run(InstructionSet::avx512), plain), 1e-6);
}

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
