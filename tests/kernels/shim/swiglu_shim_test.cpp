#include <gtest/gtest.h>

#include "plugin_interface.h"
#include "shim/orders.h"
#include "typed_numbers.h"

namespace omni::kernels::shim_test {
namespace {

struct SwigluCase {
  int rows, width;
  bool bf16;
  std::size_t offset;  // of every buffer
};
// Rows that vectors cover, rows that they do not, buffers that are not aligned, nothing.
constexpr SwigluCase kSwigluCases[] = {{3, 16, false, 0}, {5, 24, true, 0}, {4, 7, true, 0},
                                       {2, 10, false, 0}, {3, 16, true, 1}, {3, 8, false, 1},
                                       {90, 40, true, 0}, {0, 16, true, 0}};

double swiglu_of(double gate, double up) { return gate / (1 + std::exp(-gate)) * up; }

struct SwigluData {
  TypedNumbers gate_up, gradient;
  explicit SwigluData(const SwigluCase& c)
      : gate_up(TypedNumbers::random(2u * c.rows * c.width, c.bf16, 1, c.offset)),
        gradient(TypedNumbers::random(1u * c.rows * c.width, c.bf16, 2, c.offset)) {}
};

std::vector<float> run(const SwigluCase& c, const SwigluData& data, bool backward) {
  TypedNumbers output((backward ? 2u : 1u) * c.rows * c.width, c.bf16, c.offset);
  OmniCudaSwiglu a{};
  a.gate_up = data.gate_up.data();
  a.output_gradient = backward ? data.gradient.data() : nullptr;
  a.output = output.data();
  a.rows = c.rows, a.width = c.width;
  a.type = c.bf16 ? kOmniCudaBfloat16 : kOmniCudaFloat;
  EXPECT_EQ(backward ? omni_cuda_swiglu_backward(&a, nullptr) : omni_cuda_swiglu(&a, nullptr), 0);
  return output.values();
}

TEST(SwigluShim, MatchesDoublePrecisionInEveryOrder) {
  for (const SwigluCase& c : kSwigluCases) {
    const SwigluData data(c);
    std::vector<float> result;
    EXPECT_EQ(shim::for_every_order([&] { return run(c, data, false); }, result), "");
    for (int row = 0; row < c.rows; ++row)
      for (int d = 0; d < c.width; ++d) {
        const std::size_t gate = 2u * row * c.width + d;
        const double expected = swiglu_of(data.gate_up[gate], data.gate_up[gate + c.width]);
        EXPECT_NEAR(result[row * c.width + d], expected, data.gate_up.tolerance(expected))
            << row << ", " << d;
      }
  }
}

TEST(SwigluShim, GradientsAreTheSlopes) {
  for (const SwigluCase& c : kSwigluCases) {
    const SwigluData data(c);
    std::vector<float> result;
    EXPECT_EQ(shim::for_every_order([&] { return run(c, data, true); }, result), "");
    for (int row = 0; row < c.rows; ++row)
      for (int d = 0; d < c.width; ++d) {
        const std::size_t place = 2u * row * c.width + d;
        const double gate = data.gate_up[place], up = data.gate_up[place + c.width];
        const double incoming = data.gradient[row * c.width + d];
        const double of_gate = incoming * slope([&](double x) { return swiglu_of(x, up); }, gate);
        const double of_up = incoming * slope([&](double x) { return swiglu_of(gate, x); }, up);
        EXPECT_NEAR(result[place], of_gate, data.gate_up.tolerance(of_gate, 4e-6)) << row << ", " << d;
        EXPECT_NEAR(result[place + c.width], of_up, data.gate_up.tolerance(of_up, 4e-6)) << row << ", " << d;
      }
  }
}

// The power of e is infinite or nothing there.
TEST(SwigluShim, GatesFarFromZeroGiveNoNaN) {
  const SwigluCase c{1, 4, false, 0};
  SwigluData data(c);
  const float gates[] = {-3e38f, -100, 100, 3e38f};
  for (int d = 0; d < 4; ++d) {
    data.gate_up.set(d, gates[d]);
    data.gate_up.set(4 + d, 0.5f);
    data.gradient.set(d, 2);
  }
  EXPECT_EQ(run(c, data, false), (std::vector<float>{0, 0, 50, 1.5e38f}));
  EXPECT_EQ(run(c, data, true),
            (std::vector<float>{0, 0, 1, 1, 0, 0, 200, std::numeric_limits<float>::infinity()}));
}

TEST(SwigluShim, OtherTypesAreRefused) {
  OmniCudaSwiglu a{};
  a.rows = a.width = 8;
  a.type = kOmniCudaFloat16;
  EXPECT_EQ(omni_cuda_swiglu(&a, nullptr), kOmniCudaUnsupported);
}

}  // namespace
}  // namespace omni::kernels::shim_test
