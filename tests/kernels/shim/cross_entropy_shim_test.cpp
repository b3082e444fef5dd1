#include <gtest/gtest.h>

#include <algorithm>

#include "plugin_interface.h"
#include "shim/orders.h"
#include "typed_numbers.h"

namespace omni::kernels::shim_test {
namespace {

struct CrossEntropyCase {
  int rows, columns;
  bool bf16;
  int gap;  // columns at the end that are no classes
  std::size_t offset = 0;
  float z_loss = 0;
};
constexpr float kNothing = -std::numeric_limits<float>::infinity();

struct CrossEntropyData {
  TypedNumbers logits;
  std::vector<std::int32_t> targets;
  std::vector<float> weights;
  explicit CrossEntropyData(const CrossEntropyCase& c)
      : logits(TypedNumbers::random(1u * c.rows * c.columns, c.bf16, 1, c.offset, 0, 3)) {
    for (int row = 0; row < c.rows; ++row) {
      targets.push_back(row * 31 % (c.columns - c.gap));
      weights.push_back(row % 4 == 3 ? 0 : 0.5f + 0.25f * static_cast<float>(row % 3));
      for (int j = c.columns - c.gap; j < c.columns; ++j) logits.set(1u * row * c.columns + j, kNothing);
    }
  }
};

struct CrossEntropyResult {
  std::vector<float> gradient, losses, log_sums;
  std::vector<std::uint8_t> correct;
  bool operator==(const CrossEntropyResult&) const = default;
};

CrossEntropyResult run(const CrossEntropyCase& c, const CrossEntropyData& data) {
  TypedNumbers logits = data.logits;
  CrossEntropyResult result{
      {}, std::vector<float>(c.rows), std::vector<float>(c.rows), std::vector<std::uint8_t>(c.rows, 7)};
  OmniCudaCrossEntropy a{};
  a.logits = logits.data();
  a.targets = data.targets.data();
  a.weights = data.weights.data();
  a.losses = result.losses.data();
  a.log_sums = result.log_sums.data();
  a.correct = result.correct.data();
  a.rows = c.rows, a.columns = c.columns, a.z_loss = c.z_loss;
  a.type = c.bf16 ? kOmniCudaBfloat16 : kOmniCudaFloat;
  EXPECT_EQ(omni_cuda_cross_entropy(&a, nullptr), 0);
  result.gradient = logits.values();
  return result;
}

void check_row(const CrossEntropyCase& c, const CrossEntropyData& data, const CrossEntropyResult& result,
               int row) {
  std::vector<double> x(c.columns);
  for (int j = 0; j < c.columns; ++j) x[j] = data.logits[1u * row * c.columns + j];
  const auto best = std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const double logit : x) sum += std::exp(logit - *best);
  const double log_sum = *best + std::log(sum), weight = data.weights[row];
  const int target = data.targets[row];
  EXPECT_NEAR(result.log_sums[row], log_sum, 2e-6 * (1 + std::fabs(log_sum))) << row;
  EXPECT_NEAR(result.losses[row], log_sum - x[target], 2e-6 * (1 + std::fabs(log_sum))) << row;
  EXPECT_EQ(result.correct[row], best - x.begin() == target) << row;
  for (int j = 0; j < c.columns; ++j) {
    const double share = std::exp(x[j] - log_sum);
    const double expected =
        weight * (share - (j == target ? 1 : 0)) + 2 * weight * c.z_loss * log_sum * share;
    EXPECT_NEAR(result.gradient[1u * row * c.columns + j], expected, data.logits.tolerance(expected, 1e-6))
        << row << ", " << j;
  }
}

TEST(CrossEntropyShim, MatchesDoublePrecisionInEveryOrder) {
  const CrossEntropyCase cases[] = {{9, 16, false, 0}, {5, 40, true, 5},     {3, 1031, false, 0, 0, 0.01f},
                                    {4, 7, true, 0},   {3, 64, false, 0, 1}, {2, 4096, true, 3, 0, 0.01f},
                                    {1, 1, false, 0},  {0, 8, true, 0}};
  for (const CrossEntropyCase& c : cases) {
    const CrossEntropyData data(c);
    CrossEntropyResult result;
    EXPECT_EQ(shim::for_every_order([&] { return run(c, data); }, result), "");
    for (int row = 0; row < c.rows; ++row) check_row(c, data, result, row);
  }
}

// Of equal logits the first is what a row answers, though a thread before its own has a later one.
TEST(CrossEntropyShim, TiesGoToTheFirst) {
  for (const int columns : {256, 2048}) {
    const CrossEntropyCase c{3, columns, false, 0};
    CrossEntropyData data(c);
    const int first = columns / 2 - 8, second = columns / 2 + 2;
    for (int row = 0; row < 3; ++row)
      for (const int j : {first, second, columns - 1}) data.logits.set(1u * row * columns + j, 50);
    data.targets = {first, second, columns - 1};
    EXPECT_EQ(run(c, data).correct, (std::vector<std::uint8_t>{1, 0, 0}));
  }
}

// Large logits do not overflow; what is no number shows in its row and in no other.
TEST(CrossEntropyShim, ExtremesStayInTheirRows) {
  for (const int columns : {32, 2048}) {
    const CrossEntropyCase c{3, columns, false, 0};
    CrossEntropyData data(c);
    for (int j = 0; j < columns; ++j) data.logits.set(j, -1e30f);
    data.logits.set(3, 1e30f);
    data.targets[0] = 3;
    data.logits.set(1u * columns + 9, std::numeric_limits<float>::quiet_NaN());
    const CrossEntropyResult result = run(c, data);
    EXPECT_EQ(result.losses[0], 0);
    for (int j = 0; j < columns; ++j) EXPECT_EQ(result.gradient[j], 0) << j;
    EXPECT_TRUE(std::isnan(result.losses[1]));
    check_row(c, data, result, 2);
  }
}

}  // namespace
}  // namespace omni::kernels::shim_test
