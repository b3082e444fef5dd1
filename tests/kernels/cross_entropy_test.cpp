#include "omni/kernels/cross_entropy.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gradient_check.h"

namespace omni::kernels {
namespace {

at::Tensor exact_objective(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& weights,
                           double z_loss) {
  const at::Tensor log_sums = logits.logsumexp(1);
  const at::Tensor losses = log_sums - logits.gather(1, targets.to(at::kLong).unsqueeze(1)).squeeze(1);
  return (weights.to(at::kDouble) * (losses + z_loss * log_sums.square())).sum();
}

TEST(RowCrossEntropy, MatchesReferenceWithGradients) {
  at::manual_seed(3);
  const at::Tensor targets = at::randint(43, {200}, at::kInt), weights = at::rand({200});
  const std::vector<ClassRun> all = {{0, 43}};
  for (const double z_loss : {0.0, 0.1}) {
    const auto run = [&](const std::vector<at::Tensor>& x) {
      return row_cross_entropy(x[0], {x[1], x[1], {}}, all, targets, weights, z_loss).objective.unsqueeze(0);
    };
    const auto reference = [&](const std::vector<at::Tensor>& x) {
      return exact_objective(at::mm(x[0], x[1].t()), targets, weights, z_loss).unsqueeze(0);
    };
    expect_same({at::randn({200, 32}), at::randn({43, 32})}, run, reference, 1e-5);
  }
}

// Runs of a table, two of them with a codebook's share: against the rows themselves, one by one.
TEST(RowCrossEntropy, CompetesAmongRunsWithCodebooks) {
  at::manual_seed(4);
  const std::vector<ClassRun> runs = {
      {.first = 2, .size = 3},
      {.first = 7, .size = 12, .codebook = 0, .first_code = 4},
      {.first = 30, .size = 9, .codebook = 1, .first_code = 0},
  };
  const std::vector<std::int64_t> columns = class_columns(runs);
  ASSERT_EQ(columns, (std::vector<std::int64_t>{0, 8, 24, 40}));
  const std::vector<at::Tensor> codebooks = {at::randn({16, 5}), at::randn({9, 3})};
  std::vector<std::int64_t> classes;
  std::vector<std::int32_t> targets;
  for (std::size_t r = 0; r < runs.size(); ++r)
    for (std::int64_t i = 0; i < runs[r].size; ++i) {
      classes.push_back(runs[r].first + i);
      targets.push_back(static_cast<std::int32_t>(columns[r] + i));
    }
  const auto count = static_cast<std::int64_t>(classes.size());
  const at::Tensor weights = at::rand({count}), own_targets = at::tensor(targets, at::kInt);
  const auto run = [&](const std::vector<at::Tensor>& x) {
    const ClassTable table = {x[1], x[1], {{codebooks[0], x[2]}, {codebooks[1], x[3]}}};
    return row_cross_entropy(x[0], table, runs, own_targets, weights, 0.1).objective.unsqueeze(0);
  };
  const auto reference = [&](const std::vector<at::Tensor>& x) {
    const auto share = [&](std::size_t c, std::int64_t first, std::int64_t size) {
      return at::mm(codebooks[c].to(at::kDouble).narrow(0, first, size), x[2 + c].t());
    };
    const at::Tensor rows = x[1].index_select(0, at::tensor(classes, at::kLong)) +
                            at::concat({at::zeros({3, 32}, at::kDouble), share(0, 4, 12), share(1, 0, 9)});
    return exact_objective(at::mm(x[0], rows.t()), at::arange(count), weights, 0.1).unsqueeze(0);
  };
  expect_same({at::randn({count, 32}), at::randn({50, 32}), at::randn({32, 5}), at::randn({32, 3})}, run,
              reference, 1e-4);
}

TEST(RowCrossEntropy, AddsToTheGradientThatIsThere) {
  at::manual_seed(5);
  const at::Tensor hidden = at::randn({40, 16}), targets = at::randint(10, {40}, at::kInt);
  const std::vector<ClassRun> runs = {{.first = 20, .size = 10}};
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    at::Tensor table = at::randn({50, 16}).requires_grad_();
    const auto backward = [&] {
      const ClassTable classes = {table, table.detach().to(type), {}};
      row_cross_entropy(hidden.to(type), classes, runs, targets, at::ones({40}), 0).objective.backward();
    };
    backward();
    const at::Tensor place = table.grad(), once = place.clone();
    backward();
    EXPECT_TRUE(table.grad().is_same(place));
    EXPECT_LT(difference(table.grad(), 2 * once), 1e-5);
    EXPECT_EQ(once.narrow(0, 0, 20).abs().max().item<float>(), 0);
  }
}

// More logits than are held at a time: three chunks, the last one smaller.
TEST(RowCrossEntropySlow, ChunksMatchReferenceWithGradients) {
  at::manual_seed(6);
  const std::int64_t rows = 2400, count = 33000;
  const at::Tensor targets = at::randint(count, {rows}, at::kInt), weights = at::rand({rows});
  const at::Tensor hidden = at::randn({rows, 8}), table = at::randn({count, 8});
  const std::vector<ClassRun> all = {{0, count}};
  // fp16 has no kernel on the CPU: it runs the tensor operations that GPUs run.
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const at::Tensor x = hidden.to(type, false, true).requires_grad_(), t = table.clone().requires_grad_();
    const ClassTable classes = {t, t.detach().to(type), {}};
    const RowCrossEntropy loss = row_cross_entropy(x, classes, all, targets, weights, 0.1);
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
    EXPECT_TRUE(row_cross_entropy(x, classes, all, targets, weights, 0.1).losses.equal(loss.losses));
  }
}

TEST(RowCrossEntropy, CountsTheLowestOfTiesAsBest) {
  const at::Tensor hidden = at::ones({3, 16}), rows = at::ones({5, 16});
  const at::Tensor targets = at::tensor({0, 1, 4}, at::kInt);
  const RowCrossEntropy loss =
      row_cross_entropy(hidden, {rows, rows, {}}, std::vector<ClassRun>{{0, 5}}, targets, at::ones({3}), 0);
  EXPECT_TRUE(loss.correct[0].item<bool>());
  EXPECT_FALSE(loss.correct[1].item<bool>());
  EXPECT_NEAR(loss.losses[2].item<float>(), std::log(5.0), 1e-6);
}

}  // namespace
}  // namespace omni::kernels
