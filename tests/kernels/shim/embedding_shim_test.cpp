#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "plugin_interface.h"
#include "shim/orders.h"
#include "typed_numbers.h"

namespace omni::kernels::shim_test {
namespace {

using Indices = std::vector<std::int64_t>;

Indices drawn(std::size_t count, std::int64_t bound, std::uint32_t seed) {
  std::mt19937 generator(seed);
  Indices indices;
  for (std::size_t i = 0; i < count; ++i)
    indices.push_back(std::uniform_int_distribution<std::int64_t>(0, bound - 1)(generator));
  return indices;
}
float* floats(TypedNumbers& x) { return static_cast<float*>(x.data()); }
const float* floats(const TypedNumbers& x) { return static_cast<const float*>(x.data()); }

TEST(EmbeddingShim, GathersRows) {
  for (const auto [count, width, offset] :
       {std::array{5, 16, 0}, {3, 600, 0}, {4, 7, 0}, {4, 8, 1}, {0, 8, 0}}) {
    const TypedNumbers table = TypedNumbers::random(20u * width, false, 1, offset);
    const Indices indices = drawn(count, 20, 2);
    std::vector<float> result;
    const auto run = [&, n = count, w = width] {
      TypedNumbers output(1u * n * w, false);
      const OmniCudaGather a{floats(table), indices.data(), floats(output), n, w};
      EXPECT_EQ(omni_cuda_gather(&a, nullptr), 0);
      return output.values();
    };
    EXPECT_EQ(shim::for_every_order(run, result), "");
    for (int i = 0; i < count; ++i)
      for (int d = 0; d < width; ++d) EXPECT_EQ(result[i * width + d], table[indices[i] * width + d]) << i;
  }
}

struct SumCase {
  int count, width, stride;
  std::int64_t rows;
};

// Runs of equal rows that fill windows, end with them, go over many; single ones; rows of a wider table.
TEST(EmbeddingShim, AddsRowsThatOccurOftenInEveryOrder) {
  const SumCase cases[] = {{300, 12, 12, 40}, {200, 600, 600, 1}, {150, 7, 9, 3},
                           {64, 8, 8, 2},     {33, 4, 12, 33},    {0, 8, 8, 4}};
  for (const SumCase& c : cases) {
    const TypedNumbers rows = TypedNumbers::random(1u * c.count * c.width, false, 3);
    const TypedNumbers before = TypedNumbers::random(c.rows * c.stride, false, 4);
    const Indices indices = c.rows == 2 ? Indices(c.count, 1) : drawn(c.count, c.rows, 5);
    Indices order(c.count), sorted;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return indices[a] < indices[b]; });
    for (const std::int64_t i : order) sorted.push_back(indices[i]);
    std::vector<float> result;
    const auto run = [&] {
      TypedNumbers gradient = before;
      const std::size_t windows = (c.count + kOmniCudaRowWindow - 1) / kOmniCudaRowWindow;
      TypedNumbers partial(windows * c.width, false);
      const OmniCudaAddRows a{floats(rows),    sorted.data(), order.data(), floats(gradient),
                              floats(partial), c.count,       c.width,      c.stride};
      EXPECT_EQ(omni_cuda_add_rows(&a, nullptr), 0);
      return gradient.values();
    };
    EXPECT_EQ(shim::for_every_order(run, result), "");
    std::vector<double> expected;
    for (const float x : before.values()) expected.push_back(x);
    for (int i = 0; i < c.count; ++i)
      for (int d = 0; d < c.width; ++d) expected[indices[i] * c.stride + d] += rows[i * c.width + d];
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(result[i], expected[i], 1e-5 * (1 + std::fabs(expected[i]))) << i;
  }
}

struct CodeCase {
  int count, width, dimension;
};
constexpr CodeCase kCodeCases[] = {{70, 24, 8}, {40, 150, 16}, {300, 9, 37}, {0, 16, 8}, {1, 1, 1}};
constexpr std::int64_t kCodes = 11;

struct CodeData {
  TypedNumbers codebook, projection, rows;
  Indices positions, codes;
  explicit CodeData(const CodeCase& c)
      : codebook(TypedNumbers::random(kCodes * c.dimension, false, 1)),
        projection(TypedNumbers::random(1u * c.width * c.dimension, false, 2)),
        rows(TypedNumbers::random(2u * (c.count + 1) * c.width, false, 3)),
        codes(drawn(c.count, kCodes, 4)) {
    for (int i = 0; i < c.count; ++i) positions.push_back(2 * i + 1);
    std::shuffle(positions.begin(), positions.end(), std::mt19937(5));
    // No codes, at a position that comes again in other blocks.
    for (int i = 2; i < c.count; i += 3) {
      codes[i] = -1;
      positions[i] = 0;
    }
  }
};

TEST(EmbeddingShim, AddsTheCodebooksShare) {
  for (const CodeCase& c : kCodeCases) {
    const CodeData data(c);
    std::vector<float> result;
    const auto run = [&] {
      TypedNumbers output = data.rows;
      const OmniCudaCodeShares a{floats(data.codebook),
                                 floats(data.projection),
                                 data.positions.data(),
                                 data.codes.data(),
                                 floats(output),
                                 c.count,
                                 c.width,
                                 c.dimension};
      EXPECT_EQ(omni_cuda_code_shares(&a, nullptr), 0);
      return output.values();
    };
    EXPECT_EQ(shim::for_every_order(run, result), "");
    std::vector<double> expected;
    for (const float x : data.rows.values()) expected.push_back(x);
    for (int i = 0; i < c.count; ++i)
      for (int column = 0; column < c.width && data.codes[i] >= 0; ++column)
        for (int d = 0; d < c.dimension; ++d)
          expected[data.positions[i] * c.width + column] +=
              static_cast<double>(data.codebook[data.codes[i] * c.dimension + d]) *
              data.projection[column * c.dimension + d];
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(result[i], expected[i], 1e-5 * (1 + std::fabs(expected[i]))) << i;
  }
}

TEST(EmbeddingShim, ProjectionsGetTheirGradient) {
  for (const CodeCase& c : kCodeCases) {
    const CodeData data(c);
    std::vector<float> result;
    const auto run = [&] {
      TypedNumbers gradient(1u * c.width * c.dimension, false);
      const std::size_t windows = (c.count + kOmniCudaCodeWindow - 1) / kOmniCudaCodeWindow;
      TypedNumbers partial(windows * gradient.size(), false);
      const OmniCudaCodeGradient a{floats(data.rows),
                                   floats(data.codebook),
                                   data.positions.data(),
                                   data.codes.data(),
                                   floats(gradient),
                                   floats(partial),
                                   c.count,
                                   c.width,
                                   c.dimension};
      EXPECT_EQ(omni_cuda_code_gradient(&a, nullptr), 0);
      return gradient.values();
    };
    EXPECT_EQ(shim::for_every_order(run, result), "");
    for (int column = 0; column < c.width; ++column)
      for (int d = 0; d < c.dimension; ++d) {
        double expected = 0;
        for (int i = 0; i < c.count; ++i)
          if (data.codes[i] >= 0)
            expected += static_cast<double>(data.rows[data.positions[i] * c.width + column]) *
                        data.codebook[data.codes[i] * c.dimension + d];
        EXPECT_NEAR(result[column * c.dimension + d], expected, 3e-5 * (1 + std::fabs(expected)));
      }
  }
}

}  // namespace
}  // namespace omni::kernels::shim_test
