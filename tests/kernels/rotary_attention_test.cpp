#include "omni/kernels/rotary_attention.h"

#include <gtest/gtest.h>

#include "attention_truth.h"
#include "gradient_check.h"

namespace omni::kernels {
namespace {

struct Case {
  std::string name;
  std::int64_t heads, key_value_heads, head_size;
  bool rotated, interleaved, normed;
  std::int64_t groups;
  at::ScalarType type;
  double tolerance;
};

class RotaryAttentionTest : public testing::TestWithParam<Case> {};

RotaryAttention options_of(const Case& c, std::int64_t rows) {
  RotaryAttention options;
  options.heads = c.heads;
  options.key_value_heads = c.key_value_heads;
  options.head_size = c.head_size;
  options.interleaved = c.interleaved;
  if (c.rotated) {
    const at::Tensor angles = at::randn({rows, c.head_size / 2});
    options.cosine = angles.cos();
    options.sine = angles.sin();
  }
  if (c.groups > 1) options.row_group = at::randint(c.groups, {rows}, at::kByte);
  return options;
}

// One row of one head at a time, pair by pair: complex numbers in double precision.
at::Tensor turned(const at::Tensor& x, const Case& c, const RotaryAttention& o, const at::Tensor& norm) {
  at::Tensor y = x.to(at::kDouble);
  if (c.normed) {
    const at::Tensor group =
        o.row_group.defined() ? o.row_group.to(at::kLong) : at::zeros({x.size(0)}, at::kLong);
    y = y / (y.square().mean(-1, true) + o.norm_epsilon).sqrt() * norm.index_select(0, group).unsqueeze(1);
  }
  if (!c.rotated) return y;
  const std::int64_t half = c.head_size / 2;
  std::vector<at::Tensor> parts(c.head_size);
  for (std::int64_t i = 0; i < half; ++i) {
    const std::int64_t first = c.interleaved ? 2 * i : i, second = c.interleaved ? 2 * i + 1 : i + half;
    const at::Tensor a = y.select(2, first), b = y.select(2, second);
    const at::Tensor cosine = o.cosine.select(1, i).unsqueeze(1), sine = o.sine.select(1, i).unsqueeze(1);
    parts[first] = a * cosine - b * sine;
    parts[second] = a * sine + b * cosine;
  }
  return at::stack(parts, 2);
}

TEST_P(RotaryAttentionTest, MatchesDoublePrecisionWithGradients) {
  at::manual_seed(1);
  const Case& c = GetParam();
  std::mt19937 random(7);
  const std::int64_t rows = 140, q = c.heads * c.head_size, kv = c.key_value_heads * c.head_size;
  const AttentionSpans spans = random_segments(rows, random);
  const RotaryAttention options = options_of(c, rows);
  std::vector<at::Tensor> inputs = {at::randn({rows, q + 2 * kv}).to(c.type)};
  if (c.normed)
    for (int i = 0; i < 2; ++i) inputs.push_back(at::rand({c.groups, c.head_size}) + 0.5);
  const auto run = [&](const std::vector<at::Tensor>& x) {
    RotaryAttention own = options;
    if (c.normed) {
      own.query_norm = x[1];
      own.key_norm = x[2];
    }
    return rotary_attention(x[0], own, spans);
  };
  const auto truth = [&](const std::vector<at::Tensor>& x) {
    const auto heads = [&](std::int64_t first, std::int64_t count) {
      return x[0].narrow(1, first, count * c.head_size).view({rows, count, c.head_size});
    };
    return true_attention(turned(heads(0, c.heads), c, options, c.normed ? x[1] : at::Tensor()),
                          turned(heads(q, c.key_value_heads), c, options, c.normed ? x[2] : at::Tensor()),
                          heads(q + kv, c.key_value_heads), spans)
        .flatten(1);
  };
  expect_same(inputs, run, truth, c.tolerance);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, RotaryAttentionTest,
    testing::Values(Case{"plain", 2, 2, 32, false, false, false, 1, at::kFloat, 1e-5},
                    Case{"half", 3, 3, 32, true, false, true, 1, at::kFloat, 1e-5},
                    Case{"interleaved", 2, 2, 16, true, true, true, 1, at::kFloat, 1e-5},
                    Case{"grouped_queries", 6, 2, 48, true, false, true, 1, at::kFloat, 1e-5},
                    Case{"two_streams", 4, 4, 32, true, true, true, 2, at::kFloat, 1e-5},
                    Case{"wide_head", 1, 1, 128, true, true, false, 1, at::kFloat, 1e-5},
                    Case{"odd_head", 2, 1, 24, true, false, true, 1, at::kFloat, 1e-5},
                    Case{"bf16", 6, 6, 32, true, false, true, 1, at::kBFloat16, 2e-2},
                    Case{"bf16_groups", 4, 2, 64, true, true, true, 2, at::kBFloat16, 2e-2}),
    [](const auto& info) { return info.param.name; });

// Norm weights receive one part per task, and documents of several chunks two kinds of parts.
TEST(RotaryAttention, NormGradientsOfLongDocuments) {
  at::manual_seed(2);
  const Case c{"long", 2, 1, 16, true, false, true, 1, at::kFloat, 1e-5};
  const std::int64_t rows = 1700;
  const RotaryAttention options = options_of(c, rows);
  const auto spans = AttentionSpans::causal(std::vector<std::int64_t>{0, 20, rows});
  const auto run = [&](const std::vector<at::Tensor>& x) {
    RotaryAttention own = options;
    own.query_norm = x[1];
    own.key_norm = x[2];
    return rotary_attention(x[0], own, spans);
  };
  const auto truth = [&](const std::vector<at::Tensor>& x) {
    const at::Tensor query = x[0].narrow(1, 0, 32).view({rows, 2, 16}),
                     key = x[0].narrow(1, 32, 16).view({rows, 1, 16});
    return true_attention(turned(query, c, options, x[1]), turned(key, c, options, x[2]),
                          x[0].narrow(1, 48, 16).view({rows, 1, 16}), spans)
        .flatten(1);
  };
  expect_same({at::randn({rows, 64}), at::rand({1, 16}) + 0.5, at::rand({1, 16}) + 0.5}, run, truth, 2e-5);
}

}  // namespace
}  // namespace omni::kernels
