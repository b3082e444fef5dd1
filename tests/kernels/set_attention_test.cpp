#include "omni/kernels/set_attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "gradient_check.h"

namespace omni::kernels {
namespace {

using at::Tensor;

Tensor true_set_attention(const Tensor& query, const Tensor& key, const Tensor& value, bool causal) {
  const auto heads = [](const Tensor& x) { return x.transpose(1, 2); };
  Tensor scores = at::matmul(heads(query), heads(key).transpose(2, 3)) / std::sqrt(double(query.size(3)));
  if (causal)
    scores = scores.masked_fill(at::ones({query.size(1), key.size(1)}, at::kBool).triu(1),
                                -std::numeric_limits<double>::infinity());
  return at::matmul(scores.softmax(-1), heads(value)).transpose(1, 2);
}

struct Case {
  std::int64_t sets, rows, keys, heads, head_size;
  bool causal;
  at::ScalarType type;
};

// Head sizes that the kernel takes and those that it does not; sets of one row or key; sets in several
// chunks.
const std::vector<Case> kCases = {
    {1, 5, 133, 2, 16, false, at::kFloat},     {3, 49, 7, 2, 32, false, at::kFloat},
    {4, 1, 1, 1, 64, false, at::kFloat},       {2, 61, 61, 2, 48, true, at::kFloat},
    {1, 1100, 1000, 1, 16, false, at::kFloat}, {2, 30, 40, 2, 20, false, at::kFloat},
    {1, 70, 300, 2, 64, false, at::kBFloat16}, {3, 50, 50, 2, 32, true, at::kBFloat16},
    {1, 1100, 1000, 1, 32, true, at::kDouble}, {2, 9, 8, 1, 16, false, at::kDouble},
};

TEST(SetAttention, IsSoftmaxOverEachSetsOwnKeys) {
  at::manual_seed(3);
  for (Case c : kCases) {
    if (c.causal) c.keys = c.rows;
    SCOPED_TRACE(testing::Message() << c.sets << " sets of " << c.rows << " rows and " << c.keys << " keys, "
                                    << c.heads << " heads of " << c.head_size << ", " << c.type);
    const auto random = [&](std::int64_t rows) {
      return at::randn({c.sets, rows, c.heads, c.head_size}).to(c.type);
    };
    // bf16 rounds to 8 bits, probabilities too.
    const double tolerance = c.type == at::kBFloat16 ? 2e-2 : 1e-5;
    expect_same(
        {random(c.rows), random(c.keys), random(c.keys)},
        [&](const auto& in) { return set_attention(in[0], in[1], in[2], c.causal); },
        [&](const auto& in) { return true_set_attention(in[0], in[1], in[2], c.causal); }, tolerance);
  }
}

TEST(SetAttention, ASetGivesTheSameBitsAloneAndAmongOthers) {
  at::manual_seed(4);
  const Tensor query = at::randn({3, 100, 2, 32}), key = at::randn({3, 70, 2, 32}),
               value = at::randn({3, 70, 2, 32});
  const Tensor all = set_attention(query, key, value);
  for (std::int64_t s = 0; s < 3; ++s)
    EXPECT_TRUE(set_attention(query.narrow(0, s, 1), key.narrow(0, s, 1), value.narrow(0, s, 1))
                    .equal(all.narrow(0, s, 1)));
}

TEST(SetAttention, ReadsHeadsOutOfAWiderProjection) {
  at::manual_seed(5);
  const Tensor projected = at::randn({2, 40, 3 * 4 * 16});
  const auto part = [&](std::int64_t i) { return projected.chunk(3, -1)[i].unflatten(-1, {4, 16}); };
  const Tensor expected = set_attention(part(0).contiguous(), part(1).contiguous(), part(2).contiguous());
  EXPECT_TRUE(set_attention(part(0), part(1), part(2)).equal(expected));
}

TEST(SetAttention, RowsWithoutKeysGiveZerosAndNoRowsNothing) {
  const Tensor none = at::empty({2, 0, 1, 16}), some = at::randn({2, 3, 1, 16});
  EXPECT_TRUE(set_attention(some, none, none).equal(at::zeros_like(some)));
  EXPECT_EQ(set_attention(none, some, some).numel(), 0);
}

}  // namespace
}  // namespace omni::kernels
