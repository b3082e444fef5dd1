#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "plugin_interface.h"
#include "shim/half.h"
#include "shim/orders.h"

namespace omni::kernels::shim_test {
namespace {

struct NormCase {
  int rows, width;
  bool centred, delta, weight, bf16;
};

struct Inputs {
  std::vector<float> residual, weight, delta;  // delta holds what short_delta does
  std::vector<std::uint16_t> short_delta;
};
Inputs make_inputs(const NormCase& c) {
  const std::size_t count = static_cast<std::size_t>(c.rows) * c.width;
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0.5f, 2.0f);
  Inputs in{std::vector<float>(count), std::vector<float>(c.width), std::vector<float>(count),
            std::vector<std::uint16_t>(count)};
  for (float& x : in.residual) x = normal(random);
  for (float& x : in.weight) x = normal(random);
  for (std::size_t i = 0; i < count; ++i) {
    in.short_delta[i] = shim::bfloat16_bits(normal(random));
    in.delta[i] = shim::bfloat16_value(in.short_delta[i]);
  }
  return in;
}

// The sums, then the outputs.
std::vector<float> run(const NormCase& c, const Inputs& in) {
  const std::size_t count = in.residual.size();
  std::vector<float> sum(count, -1), output(count, -1);
  std::vector<std::uint16_t> short_output(count);
  OmniCudaAddNorm a{};
  a.residual = in.residual.data();
  a.delta = !c.delta ? nullptr : c.bf16 ? static_cast<const void*>(in.short_delta.data()) : in.delta.data();
  a.weight = c.weight ? in.weight.data() : nullptr;
  a.sum = c.delta ? sum.data() : nullptr;
  a.output = c.bf16 ? static_cast<void*>(short_output.data()) : output.data();
  a.rows = c.rows, a.width = c.width, a.epsilon = 1e-6f, a.centred = c.centred;
  a.type = c.bf16 ? kOmniCudaBfloat16 : kOmniCudaFloat;
  EXPECT_EQ(omni_cuda_add_norm(&a, nullptr), 0);
  if (c.bf16)
    for (std::size_t i = 0; i < count; ++i) output[i] = shim::bfloat16_value(short_output[i]);
  sum.insert(sum.end(), output.begin(), output.end());
  return sum;
}

void check_row(const NormCase& c, const Inputs& in, const std::vector<float>& result, int row) {
  const std::size_t first = static_cast<std::size_t>(row) * c.width;
  std::vector<double> x(c.width);
  double mean = 0, squares = 0;
  for (int d = 0; d < c.width; ++d) {
    x[d] = in.residual[first + d] + (c.delta ? in.delta[first + d] : 0.0);
    mean += x[d] / c.width;
  }
  if (!c.centred) mean = 0;
  for (const double v : x) squares += (v - mean) * (v - mean) / c.width;
  for (int d = 0; d < c.width; ++d) {
    const double expected = (x[d] - mean) / std::sqrt(squares + 1e-6) * (c.weight ? in.weight[d] : 1.0f);
    const double tolerance = std::fabs(expected) * (c.bf16 ? std::ldexp(1.0, -8) : 0) + 1e-4;
    if (c.delta) EXPECT_NEAR(result[first + d], x[d], 1e-6);
    EXPECT_NEAR(result[in.residual.size() + first + d], expected, tolerance) << row << ", " << d;
  }
}

// Against the formulas in double precision; 3000 columns are more than stay in registers.
TEST(AddNormShim, MatchesDoublePrecisionInEveryOrder) {
  const NormCase cases[] = {{3, 1, false, true, true, false},     {2, 100, true, true, false, true},
                            {4, 256, false, false, true, true},   {2, 3000, true, true, true, false},
                            {1, 2049, false, true, false, false}, {0, 64, false, true, true, true}};
  for (const NormCase& c : cases) {
    const Inputs in = make_inputs(c);
    std::vector<float> result;
    EXPECT_EQ(shim::for_every_order([&] { return run(c, in); }, result), "");
    for (int row = 0; row < c.rows; ++row) check_row(c, in, result, row);
  }
}

}  // namespace
}  // namespace omni::kernels::shim_test
