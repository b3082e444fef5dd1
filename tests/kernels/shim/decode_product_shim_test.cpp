// Products of a few rows on the GPU: bf16 against sums in double precision, int8 bit by bit against the
// integers that the scheme defines.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "aligned_memory.h"
#include "decode_product_interface.h"
#include "omni/core/random.h"
#include "shim/device.h"
#include "shim/orders.h"

namespace omni::cuda {
namespace {

struct Case {
  int rows, outputs, inputs;
  bool bias, bytes;
  OmniCudaType type;
};

// Problems that differ in their rows alone have the same weights.
class Problem {
 public:
  explicit Problem(const Case& c)
      : c_(c),
        x_(count(c.rows, c.inputs)),
        halves_(count(c.outputs, c.inputs)),
        bytes_(count(c.outputs, c.inputs)) {
    CounterRng rng(static_cast<std::uint64_t>(c.inputs));
    for (std::size_t i = 0; i < count(c.outputs, c.inputs); ++i) {
      halves_.data()[i] = static_cast<float>(rng.normal());
      bytes_.data()[i] = static_cast<signed char>(static_cast<int>(rng.below(255)) - 127);
    }
    for (int o = 0; o < c.outputs; ++o) {
      bias_.push_back(static_cast<float>(rng.normal()));
      scales_.push_back(static_cast<float>(rng.uniform(0.001, 0.01)));
      sums_.push_back(0);
      for (int i = 0; i < c.inputs; ++i) sums_.back() += weight(o, i);
    }
    for (std::size_t i = 0; i < count(c.rows, c.inputs); ++i) x_.data()[i] = static_cast<float>(rng.normal());
  }

  // [rows, outputs], as float; what is not written keeps kUnwritten.
  std::vector<float> run(const std::vector<std::int32_t>& runs = {}) const {
    AlignedMemory<signed char> upper(count(c_.rows, c_.inputs)), lower(count(c_.rows, c_.inputs));
    std::vector<float> row_scales(c_.rows), y(count(c_.rows, c_.outputs), kUnwritten);
    std::vector<__nv_bfloat16> short_y(y.size(), __nv_bfloat16(kUnwritten));
    OmniCudaDecodeProduct a{};
    a.matrix = {c_.bytes ? static_cast<const void*>(bytes_.data()) : halves_.data(),
                scales_.data(),
                sums_.data(),
                c_.bias ? bias_.data() : nullptr,
                c_.outputs,
                c_.inputs,
                c_.bytes ? kOmniCudaDecodeInt8 : kOmniCudaDecodeBf16};
    a.x = x_.data();
    a.fixed = {x_.data(), upper.data(), lower.data(), row_scales.data(), c_.inputs, c_.rows};
    a.runs = runs.empty() ? nullptr : runs.data();
    a.y = c_.type == kOmniCudaFloat ? static_cast<void*>(y.data()) : short_y.data();
    a.rows = c_.rows;
    a.type = c_.type;
    if (c_.bytes) {
      EXPECT_EQ(omni_cuda_decode_fixed_rows(&a.fixed, nullptr), 0);
    }
    EXPECT_EQ(omni_cuda_decode_product(&a, nullptr), 0);
    if (c_.type == kOmniCudaBfloat16)
      for (std::size_t i = 0; i < y.size(); ++i) y[i] = short_y[i];
    return y;
  }

  double exact(int row, int output) const {
    double total = c_.bias ? bias_[output] : 0;
    for (int i = 0; i < c_.inputs; ++i)
      total += static_cast<double>(float(x(row, i))) * float(halves_.data()[count(output, c_.inputs) + i]);
    return total;
  }

  // What omni/kernels/decode_linear.h says of int8: rows as 16-bit integers, exact integer sums.
  float by_integers(int row, int output) const {
    float largest = 0;
    for (int i = 0; i < c_.inputs; ++i) {
      largest = std::max(largest, std::abs(float(x(row, i))));
      if (!std::isfinite(float(x(row, i)))) return NAN;
    }
    const float scale = largest / 32767.0f, inverse = scale > 0 ? 1.0f / scale : 0.0f;
    std::int64_t total = 0;
    for (int i = 0; i < c_.inputs; ++i)
      total += static_cast<std::int64_t>(std::nearbyint(float(x(row, i)) * inverse)) * weight(output, i);
    const float y =
        static_cast<float>(static_cast<double>(total) * (static_cast<double>(scale) * scales_[output]));
    return c_.bias ? y + bias_[output] : y;
  }

  __nv_bfloat16& x(int row, int i) { return x_.data()[count(row, c_.inputs) + i]; }
  const __nv_bfloat16& x(int row, int i) const { return x_.data()[count(row, c_.inputs) + i]; }
  static constexpr float kUnwritten = -12345.0f;

 private:
  static std::size_t count(int rows, int width) { return static_cast<std::size_t>(rows) * width; }
  int weight(int output, int i) const { return bytes_.data()[count(output, c_.inputs) + i]; }

  const Case c_;
  AlignedMemory<__nv_bfloat16> x_, halves_;
  AlignedMemory<signed char> bytes_;
  std::vector<float> bias_, scales_;
  std::vector<std::int32_t> sums_;
};

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits(values.size());
  std::memcpy(bits.data(), values.data(), 4 * values.size());
  return bits;
}

std::vector<float> run_in_every_order(const Problem& problem, const std::vector<std::int32_t>& runs = {}) {
  std::vector<std::uint32_t> first;
  EXPECT_EQ(shim::for_every_order([&] { return bits_of(problem.run(runs)); }, first), "");
  std::vector<float> values(first.size());
  std::memcpy(values.data(), first.data(), 4 * first.size());
  return values;
}

std::vector<Case> cases(bool bytes) {
  std::vector<Case> cases;
  for (int rows = 1; rows <= kOmniCudaMostDecodeRows; ++rows)
    cases.push_back({rows, 3 + rows, 16 * (2 * rows - 1), rows % 2 == 0, bytes, kOmniCudaFloat});
  cases.push_back({2, 19, 1040, true, bytes, kOmniCudaBfloat16});
  cases.push_back({3, 1, 512, false, bytes, kOmniCudaFloat});
  return cases;
}

TEST(DecodeProductShim, HalvesMatchDoublePrecision) {
  for (const Case& c : cases(false)) {
    SCOPED_TRACE(c.rows);
    const Problem problem(c);
    const std::vector<float> y = run_in_every_order(problem);
    for (int r = 0; r < c.rows; ++r)
      for (int o = 0; o < c.outputs; ++o) {
        const double truth = problem.exact(r, o);
        const double rounding = c.type == kOmniCudaFloat ? 0 : std::ldexp(std::abs(truth), -8);
        EXPECT_NEAR(y[static_cast<std::size_t>(r) * c.outputs + o], truth, rounding + 1e-3);
      }
  }
}

TEST(DecodeProductShim, BytesAreTheProcessorsToTheBit) {
  for (const Case& c : cases(true)) {
    SCOPED_TRACE(c.rows);
    const Problem problem(c);
    const std::vector<float> y = run_in_every_order(problem);
    for (int r = 0; r < c.rows; ++r)
      for (int o = 0; o < c.outputs; ++o) {
        const float truth = problem.by_integers(r, o);
        EXPECT_EQ(y[static_cast<std::size_t>(r) * c.outputs + o],
                  c.type == kOmniCudaFloat ? truth : float(__nv_bfloat16(truth)));
      }
  }
}

// Each number of rows up to a power of two has a kernel of its own.
TEST(DecodeProductShim, ARowDoesNotDependOnThoseBesideIt) {
  constexpr int kAll = 8;
  for (const bool bytes : {false, true}) {
    const Case c{kAll, 5, 528, false, bytes, kOmniCudaFloat};
    const Problem together(c);
    const std::vector<float> y = together.run();
    for (int rows = 1; rows < kAll; ++rows) {
      SCOPED_TRACE(rows);
      Case fewer = c;
      fewer.rows = rows;
      Problem last(fewer);  // the last rows of all, at other places
      for (int r = 0; r < rows; ++r)
        for (int i = 0; i < c.inputs; ++i) last.x(r, i) = together.x(kAll - rows + r, i);
      const std::vector<float> own = last.run();
      for (int r = 0; r < rows; ++r)
        for (int o = 0; o < c.outputs; ++o)
          EXPECT_EQ(own[static_cast<std::size_t>(r) * c.outputs + o],
                    y[static_cast<std::size_t>(kAll - rows + r) * c.outputs + o]);
    }
  }
}

TEST(DecodeProductShim, RunsWriteTheirOutputsAlone) {
  for (const bool bytes : {false, true}) {
    const Case c{2, 40, 64, true, bytes, kOmniCudaFloat};
    const Problem problem(c);
    std::vector<std::int32_t> runs(2 * kOmniCudaMostRuns, 0);
    runs[0] = 3, runs[1] = 5, runs[4] = 30, runs[5] = 10;
    const std::vector<float> all = problem.run(), some = run_in_every_order(problem, runs);
    for (int r = 0; r < c.rows; ++r)
      for (int o = 0; o < c.outputs; ++o) {
        const std::size_t i = static_cast<std::size_t>(r) * c.outputs + o;
        EXPECT_EQ(some[i], (o >= 3 && o < 8) || o >= 30 ? all[i] : Problem::kUnwritten) << o;
      }
  }
}

TEST(DecodeProductShim, RowsOfZerosAndBrokenOnesAsOnTheProcessor) {
  const Case c{3, 4, 32, false, true, kOmniCudaFloat};
  Problem problem(c);
  for (int i = 0; i < c.inputs; ++i) problem.x(0, i) = 0.0f;
  problem.x(1, 5) = INFINITY;
  const std::vector<float> y = problem.run();
  for (int o = 0; o < c.outputs; ++o) {
    EXPECT_EQ(y[o], 0);
    EXPECT_TRUE(std::isnan(y[c.outputs + o]));
    EXPECT_EQ(y[2 * c.outputs + o], problem.by_integers(2, o));
  }
}

TEST(DecodeProductShim, WhatHasNoKernelIsRefused) {
  alignas(16) static unsigned char memory[64] = {};
  OmniCudaDecodeProduct good{};
  good.matrix = {memory, nullptr, nullptr, nullptr, 1, 8, kOmniCudaDecodeBf16};
  good.x = memory;
  EXPECT_EQ(omni_cuda_decode_product(&good, nullptr), 0);  // no rows
  const auto refused = [&](auto change) {
    OmniCudaDecodeProduct a = good;
    change(a);
    return omni_cuda_decode_product(&a, nullptr) == kOmniCudaUnsupported;
  };
  EXPECT_TRUE(refused([](auto& a) { a.rows = 9; }));
  EXPECT_TRUE(refused([](auto& a) { a.matrix.inputs = 12; }));
  EXPECT_TRUE(refused([](auto& a) { a.matrix.weight = memory + 8; }));
  EXPECT_TRUE(refused([](auto& a) { a.x = nullptr; }));
  EXPECT_TRUE(refused([](auto& a) { a.rows = 1, a.type = kOmniCudaFloat16; }));
  EXPECT_TRUE(
      refused([](auto& a) { a.matrix.format = kOmniCudaDecodeInt8, a.matrix.inputs = 16; }));  // no scales
}

}  // namespace
}  // namespace omni::cuda
