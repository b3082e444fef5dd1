#include <gtest/gtest.h>

#include "plugin_interface.h"
#include "shim/orders.h"
#include "typed_numbers.h"

namespace omni::kernels::shim_test {
namespace {

struct RotationCase {
  int rows, heads, key_value_heads, head_size;
  int groups;  // of the norms' weights; 0: no norm
  bool rotation, interleaved, bf16;
};
const RotationCase kRotationCases[] = {
    {5, 3, 1, 16, 1, true, false, false},  {40, 2, 2, 64, 2, true, true, true},
    {3, 4, 2, 128, 0, true, false, true},  {7, 2, 1, 200, 1, false, false, false},
    {18, 1, 1, 512, 2, true, true, false}, {2, 1, 1, 6, 1, true, false, true}};
constexpr float kEpsilon = 1e-4f;

struct RotationData {
  TypedNumbers qkv, cosine, sine, query_norm, key_norm, query_gradient, key_gradient, value_gradient;
  std::vector<std::uint8_t> group;
  explicit RotationData(const RotationCase& c)
      : qkv(TypedNumbers::random(1u * c.rows * (c.heads + 2 * c.key_value_heads) * c.head_size, c.bf16, 1)),
        cosine(1u * c.rows * c.head_size / 2, false),
        sine(cosine.size(), false),
        query_norm(TypedNumbers::random(1u * c.groups * c.head_size, false, 2)),
        key_norm(TypedNumbers::random(1u * c.groups * c.head_size, false, 3)),
        query_gradient(TypedNumbers::random(1u * c.rows * c.heads * c.head_size, c.bf16, 4)),
        key_gradient(TypedNumbers::random(1u * c.rows * c.key_value_heads * c.head_size, c.bf16, 5)),
        value_gradient(TypedNumbers::random(key_gradient.size(), c.bf16, 6)) {
    for (std::size_t i = 0; i < cosine.size(); ++i) {
      cosine.set(i, std::cos(0.37f * static_cast<float>(i)));
      sine.set(i, std::sin(0.37f * static_cast<float>(i)));
    }
    for (int row = 0; row < c.rows; ++row)
      group.push_back(static_cast<std::uint8_t>(row * 7 % std::max(1, c.groups)));
  }
};

const float* floats(const TypedNumbers& x) { return static_cast<const float*>(x.data()); }

OmniCudaHeadRotation arguments_of(const RotationCase& c, const RotationData& data) {
  OmniCudaHeadRotation a{};
  a.qkv = data.qkv.data();
  a.cosine = c.rotation ? floats(data.cosine) : nullptr;
  a.sine = c.rotation ? floats(data.sine) : nullptr;
  a.query_norm = c.groups > 0 ? floats(data.query_norm) : nullptr;
  a.key_norm = c.groups > 0 ? floats(data.key_norm) : nullptr;
  a.row_group = c.groups > 1 ? data.group.data() : nullptr;
  a.rows = c.rows, a.heads = c.heads, a.key_value_heads = c.key_value_heads, a.head_size = c.head_size;
  a.groups = std::max(1, c.groups);
  a.interleaved = c.interleaved;
  a.epsilon = kEpsilon;
  a.type = c.bf16 ? kOmniCudaBfloat16 : kOmniCudaFloat;
  return a;
}

// Queries, then keys.
std::vector<float> forward(const RotationCase& c, const RotationData& data) {
  TypedNumbers query(data.query_gradient.size(), c.bf16), key(data.key_gradient.size(), c.bf16);
  OmniCudaHeadRotation a = arguments_of(c, data);
  a.query = query.data();
  a.key = key.data();
  EXPECT_EQ(omni_cuda_head_rotation(&a, nullptr), 0);
  std::vector<float> all = query.values();
  for (const float x : key.values()) all.push_back(x);
  return all;
}

// Of qkv, then of the norms of queries and keys.
std::vector<float> backward(const RotationCase& c, const RotationData& data) {
  const std::size_t weights = 2u * c.groups * c.head_size;
  const std::size_t blocks = (c.rows + kOmniCudaRotationRows - 1) / kOmniCudaRotationRows;
  TypedNumbers qkv(data.qkv.size(), c.bf16), norms(weights, false), partial(blocks * weights, false);
  OmniCudaHeadRotationGradient b{};
  b.forward = arguments_of(c, data);
  b.query_gradient = data.query_gradient.data();
  b.key_gradient = data.key_gradient.data();
  b.value_gradient = data.value_gradient.data();
  b.qkv_gradient = qkv.data();
  b.norm_gradients = c.groups > 0 ? static_cast<float*>(norms.data()) : nullptr;
  b.partial = c.groups > 0 ? static_cast<float*>(partial.data()) : nullptr;
  EXPECT_EQ(omni_cuda_head_rotation_gradient(&b, nullptr), 0);
  std::vector<float> all = qkv.values();
  for (const float x : norms.values()) all.push_back(x);
  return all;
}

// One head of one row in double precision: what a query or a key becomes.
struct TrueHead {
  const RotationCase& c;
  const RotationData& data;
  int row, head;
  std::vector<double> values, weights;

  TrueHead(const RotationCase& rotation, const RotationData& all, int of_row, int of_head)
      : c(rotation), data(all), row(of_row), head(of_head) {
    const std::size_t first = (1u * row * (c.heads + 2 * c.key_value_heads) + head) * c.head_size;
    const TypedNumbers& norm = of_query() ? data.query_norm : data.key_norm;
    for (int d = 0; d < c.head_size; ++d) {
      values.push_back(data.qkv[first + d]);
      weights.push_back(c.groups > 0 ? norm[data.group[row] * c.head_size + d] : 1.0);
    }
  }
  bool of_query() const { return head < c.heads; }
  // Of its first element in the query or the key.
  std::size_t place() const {
    return of_query() ? (1u * row * c.heads + head) * c.head_size
                      : (1u * row * c.key_value_heads + head - c.heads) * c.head_size;
  }
  std::vector<double> turned() const {
    double squares = 0;
    for (const double x : values) squares += x * x / c.head_size;
    std::vector<double> y = values;
    if (c.groups > 0)
      for (int d = 0; d < c.head_size; ++d) y[d] *= weights[d] / std::sqrt(squares + kEpsilon);
    if (!c.rotation) return y;
    std::vector<double> z = y;
    for (int pair = 0; pair < c.head_size / 2; ++pair) {
      const int low = c.interleaved ? 2 * pair : pair, high = c.interleaved ? low + 1 : low + c.head_size / 2;
      const double cosine = data.cosine[row * c.head_size / 2 + pair],
                   sine = data.sine[row * c.head_size / 2 + pair];
      z[low] = y[low] * cosine - y[high] * sine;
      z[high] = y[low] * sine + y[high] * cosine;
    }
    return z;
  }
  // The turned head times the gradient that comes in.
  double objective() const {
    const TypedNumbers& gradient = of_query() ? data.query_gradient : data.key_gradient;
    const std::vector<double> z = turned();
    double sum = 0;
    for (int d = 0; d < c.head_size; ++d) sum += z[d] * gradient[place() + d];
    return sum;
  }
  double slope_at(double& number) {
    const double at = number;
    const double found = slope(
        [&](double x) {
          number = x;
          return objective();
        },
        at);
    number = at;
    return found;
  }
};

TEST(HeadRotationShim, MatchesDoublePrecisionInEveryOrder) {
  for (const RotationCase& c : kRotationCases) {
    const RotationData data(c);
    std::vector<float> result;
    EXPECT_EQ(shim::for_every_order([&] { return forward(c, data); }, result), "");
    for (int row = 0; row < c.rows; ++row)
      for (int head = 0; head < c.heads + c.key_value_heads; ++head) {
        const TrueHead own(c, data, row, head);
        const std::vector<double> expected = own.turned();
        const std::size_t first = own.place() + (own.of_query() ? 0 : data.query_gradient.size());
        for (int d = 0; d < c.head_size; ++d)
          EXPECT_NEAR(result[first + d], expected[d], data.qkv.tolerance(expected[d])) << row << ", " << head;
      }
  }
}

TEST(HeadRotationShim, GradientsAreTheSlopes) {
  for (const RotationCase& c : kRotationCases) {
    const RotationData data(c);
    std::vector<float> result;
    EXPECT_EQ(shim::for_every_order([&] { return backward(c, data); }, result), "");
    const int turned = c.heads + c.key_value_heads, all = turned + c.key_value_heads;
    std::vector<double> norms(2u * c.groups * c.head_size);
    for (int row = 0; row < c.rows; ++row)
      for (int head = 0; head < all; ++head) {
        const float* found = result.data() + (1u * row * all + head) * c.head_size;
        if (head >= turned) {  // values pass as they are
          const std::size_t own = (1u * row * c.key_value_heads + head - turned) * c.head_size;
          for (int d = 0; d < c.head_size; ++d) EXPECT_EQ(found[d], data.value_gradient[own + d]);
          continue;
        }
        TrueHead own(c, data, row, head);
        for (int d = 0; d < c.head_size; ++d) {
          const double expected = own.slope_at(own.values[d]);
          EXPECT_NEAR(found[d], expected, data.qkv.tolerance(expected, 5e-6))
              << row << ", " << head << ", " << d;
          if (c.groups > 0)
            norms[((own.of_query() ? 0 : c.groups) + data.group[row]) * c.head_size + d] +=
                own.slope_at(own.weights[d]);
        }
      }
    for (std::size_t i = 0; i < norms.size(); ++i)
      EXPECT_NEAR(result[data.qkv.size() + i], norms[i], 1e-5 * (1 + std::fabs(norms[i]))) << i;
  }
}

TEST(HeadRotationShim, OddAndWideHeadsAreRefused) {
  for (const int head_size : {7, 514, 0}) {
    OmniCudaHeadRotation a{};
    a.rows = 1, a.heads = a.key_value_heads = 1, a.head_size = head_size;
    EXPECT_EQ(omni_cuda_head_rotation(&a, nullptr), kOmniCudaUnsupported);
  }
}

}  // namespace
}  // namespace omni::kernels::shim_test
