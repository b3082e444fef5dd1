#include <gtest/gtest.h>

#include "plugin_interface.h"
#include "shim/orders.h"
#include "typed_numbers.h"

namespace omni::kernels::shim_test {
namespace {

struct NormGradientCase {
  int rows, width;
  bool centred, sum_gradient, weight, delta, bf16;
};
constexpr float kEpsilon = 1e-5f;

struct NormGradientData {
  TypedNumbers sum, weight, output_gradient, sum_gradient;
  explicit NormGradientData(const NormGradientCase& c)
      : sum(TypedNumbers::random(1u * c.rows * c.width, false, 1)),
        weight(TypedNumbers::random(c.width, false, 2)),
        output_gradient(TypedNumbers::random(1u * c.rows * c.width, c.bf16, 3)),
        sum_gradient(TypedNumbers::random(1u * c.rows * c.width, false, 4)) {}
};

// The gradients of the rows, of the delta, of the weight.
std::vector<float> run(const NormGradientCase& c, const NormGradientData& data) {
  const std::size_t count = data.sum.size();
  TypedNumbers gradient(count, false), delta(c.delta ? count : 0, c.bf16),
      weight(c.weight ? c.width : 0, false);
  const std::size_t blocks = (c.rows + kOmniCudaNormGradientRows - 1) / kOmniCudaNormGradientRows;
  TypedNumbers partial(blocks * c.width, false);
  const auto floats = [](const TypedNumbers& x) {
    return const_cast<float*>(static_cast<const float*>(x.data()));
  };
  OmniCudaNormGradient a{};
  a.sum = floats(data.sum);
  a.output_gradient = data.output_gradient.data();
  a.sum_gradient = c.sum_gradient ? floats(data.sum_gradient) : nullptr;
  a.weight = c.weight ? floats(data.weight) : nullptr;
  a.gradient = floats(gradient);
  a.delta_gradient = c.delta ? delta.data() : nullptr;
  a.weight_gradient = c.weight ? floats(weight) : nullptr;
  a.partial = c.weight ? floats(partial) : nullptr;
  a.rows = c.rows, a.width = c.width, a.epsilon = kEpsilon, a.centred = c.centred;
  a.type = c.bf16 ? kOmniCudaBfloat16 : kOmniCudaFloat;
  EXPECT_EQ(omni_cuda_norm_gradient(&a, nullptr), 0);
  std::vector<float> all = gradient.values();
  for (const TypedNumbers* x : {&delta, &weight})
    for (const float value : x->values()) all.push_back(value);
  return all;
}

// A row of the data with its mean and the factor of its norm, in double precision.
struct NormedRow {
  std::vector<double> values;
  double mean = 0, factor = 0;
  NormedRow(const NormGradientCase& c, const NormGradientData& data, int row) {
    for (int d = 0; d < c.width; ++d) values.push_back(data.sum[1u * row * c.width + d]);
    renew(c);
  }
  void renew(const NormGradientCase& c) {
    double squares = 0;
    mean = 0;
    if (c.centred)
      for (const double x : values) mean += x / c.width;
    for (const double x : values) squares += (x - mean) * (x - mean) / c.width;
    factor = 1 / std::sqrt(squares + kEpsilon);
  }
  double normed(int d) const { return (values[d] - mean) * factor; }
};

void check_row(const NormGradientCase& c, const NormGradientData& data, const std::vector<float>& result,
               int row) {
  const std::size_t first = 1u * row * c.width;
  NormedRow own(c, data, row);
  // Some columns, since each takes two passes over the row.
  for (int d = row % 5; d < c.width; d += 1 + c.width / 7) {
    const double at = own.values[d];
    const auto objective = [&](double x) {
      own.values[d] = x;
      own.renew(c);
      double sum = 0;
      for (int e = 0; e < c.width; ++e)
        sum += own.normed(e) * (c.weight ? data.weight[e] : 1.0) * data.output_gradient[first + e];
      return sum;
    };
    double expected = slope(objective, at);
    own.values[d] = at;
    if (c.sum_gradient) expected += data.sum_gradient[first + d];
    EXPECT_NEAR(result[first + d], expected, 1e-5 * (1 + std::fabs(expected))) << row << ", " << d;
    if (c.delta) {
      const double tolerance = data.output_gradient.tolerance(expected, 1e-5);
      EXPECT_NEAR(result[data.sum.size() + first + d], expected, tolerance) << row << ", " << d;
    }
  }
}

TEST(NormGradientShim, MatchesSlopesInEveryOrder) {
  const NormGradientCase cases[] = {
      {3, 1, false, false, true, false, false},   {70, 100, false, true, true, true, true},
      {33, 48, true, true, true, true, false},    {2, 1500, true, false, false, true, true},
      {2, 3000, false, true, true, true, true},   {1, 8192, true, true, true, false, false},
      {32, 256, false, false, false, false, true}};
  for (const NormGradientCase& c : cases) {
    const NormGradientData data(c);
    std::vector<float> result;
    EXPECT_EQ(shim::for_every_order([&] { return run(c, data); }, result), "");
    for (int row = 0; row < c.rows; ++row) check_row(c, data, result, row);
    if (!c.weight) continue;
    std::vector<double> weight(c.width);
    for (int row = 0; row < c.rows; ++row) {
      const NormedRow own(c, data, row);
      for (int d = 0; d < c.width; ++d)
        weight[d] += own.normed(d) * data.output_gradient[1u * row * c.width + d];
    }
    const std::size_t first = data.sum.size() * (c.delta ? 2 : 1);
    for (int d = 0; d < c.width; ++d) EXPECT_NEAR(result[first + d], weight[d], 3e-5) << d;
  }
}

TEST(NormGradientShim, NoRowsGiveTheWeightZeros) {
  const NormGradientCase c{0, 20, false, false, true, true, true};
  EXPECT_EQ(run(c, NormGradientData(c)), std::vector<float>(20, 0));
}

TEST(NormGradientShim, WiderRowsAreRefused) {
  OmniCudaNormGradient a{};
  a.rows = 1, a.width = kOmniCudaNormGradientWidth + 1;
  EXPECT_EQ(omni_cuda_norm_gradient(&a, nullptr), kOmniCudaUnsupported);
}

}  // namespace
}  // namespace omni::kernels::shim_test
