#include "omni/kernels/linear_products.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "cpu/linear_kernels.h"

namespace omni::kernels {
namespace {

using at::Tensor;

Tensor random_matrix(std::int64_t rows, std::int64_t columns) {
  return at::randn({rows, columns}).to(at::kBFloat16);
}

// Of fp32 sums, rounded to bf16 where `rounded`.
void expect_near(const Tensor& actual, const Tensor& left, const Tensor& right, bool rounded) {
  const Tensor truth = at::mm(left.to(at::kDouble), right.to(at::kDouble));
  ASSERT_EQ(actual.sizes(), truth.sizes());
  EXPECT_EQ(actual.scalar_type(), rounded ? at::kBFloat16 : at::kFloat);
  const Tensor sizes = at::mm(left.to(at::kDouble).abs(), right.to(at::kDouble).abs());
  const Tensor error = (actual.to(at::kDouble) - truth).abs();
  const double units = rounded ? 1.0 / 256 : 0;
  EXPECT_TRUE((error <= 1e-5 * sizes + units * truth.abs()).all().item<bool>())
      << left.sizes() << " " << right.sizes() << ": " << error.max().item<double>();
}

struct Sizes {
  std::int64_t rows, inputs, outputs;
};
// The rest of a tile, half a panel, an odd number of rows, several pieces of them, few rows and odd sizes, which the
// library multiplies.
constexpr Sizes kSizes[] = {{64, 32, 64},    {67, 16, 48},   {1031, 48, 16}, {97, 80, 208}, {2051, 64, 160},
                            {2048, 176, 32}, {5, 32, 32},    {100, 33, 32},  {100, 32, 30}, {64, 4112, 32},
                            {96, 32, 4112},  {1024, 16, 16}, {0, 32, 32}};

TEST(LinearProducts, AreThoseOfTheMatrices) {
  at::manual_seed(1);
  for (const auto& [rows, inputs, outputs] : kSizes) {
    const Tensor x = random_matrix(rows, inputs), weight = random_matrix(outputs, inputs);
    const Tensor incoming = random_matrix(rows, outputs);
    expect_near(linear_rows(x, weight), x, weight.t(), true);
    expect_near(linear_input_gradient(incoming, weight), incoming, weight, true);
    const Tensor gradient = linear_weight_gradient(incoming, x);
    EXPECT_EQ(gradient.scalar_type(), at::kFloat);
    expect_near(gradient.to(at::kBFloat16), incoming.t(), x, true);
  }
}

TEST(LinearProducts, OfOtherTypesAndOfPartsOfMatrices) {
  at::manual_seed(1);
  const Tensor wide = random_matrix(200, 96), weight = random_matrix(48, 64);
  const Tensor x = wide.narrow(1, 16, 64), incoming = random_matrix(48, 200).t();
  expect_near(linear_rows(x, weight), x, weight.t(), true);
  expect_near(linear_input_gradient(incoming, weight), incoming, weight, true);
  expect_near(linear_weight_gradient(incoming, x).to(at::kBFloat16), incoming.t(), x, true);
  const Tensor single = at::randn({100, 32}), other = at::randn({48, 32});
  expect_near(linear_rows(single, other), single, other.t(), false);
  expect_near(linear_input_gradient(single, at::randn({32, 48}).zero_()), single, at::zeros({32, 48}), false);
  const Tensor more = at::randn({100, 16});
  expect_near(linear_weight_gradient(single, more), single.t(), more, false);
}

TEST(LinearProducts, NotFinite) {
  Tensor x = random_matrix(80, 32);
  const Tensor weight = random_matrix(32, 32);
  x[3][5] = std::numeric_limits<float>::quiet_NaN();
  const Tensor rows = linear_rows(x, weight).to(at::kFloat);
  EXPECT_TRUE(rows[3].isnan().all().item<bool>());
  EXPECT_EQ(rows.isnan().sum().item<std::int64_t>(), 32);
  EXPECT_EQ(linear_weight_gradient(random_matrix(80, 16), x).isnan().sum().item<std::int64_t>(), 16);
}

TEST(LinearProducts, DoNotDependOnThreads) {
  if (linear_kernels() == nullptr) GTEST_SKIP() << "the library multiplies on this processor";
  at::manual_seed(1);
  const Tensor x = random_matrix(2100, 160), weight = random_matrix(336, 160),
               incoming = random_matrix(2100, 336);
  const int threads = at::get_num_threads();
  std::vector<std::vector<Tensor>> results;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    results.push_back({linear_rows(x, weight), linear_input_gradient(incoming, weight),
                       linear_weight_gradient(incoming, x), linear_weight_gradient(x, incoming)});
  }
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < results[0].size(); ++i) {
    EXPECT_TRUE(results[0][i].equal(results[1][i])) << i;
    EXPECT_TRUE(results[0][i].equal(results[2][i])) << i;
  }
}

}  // namespace
}  // namespace omni::kernels
