#include <gtest/gtest.h>

#include "attention_rows.h"
#include "gradient_check.h"
#include "omni/kernels/packed_attention.h"
#include "omni/kernels/rotary_attention.h"

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

const std::vector<std::int64_t> kStarts = {0, 1, 18, 18, 67, 140};  // lengths 1, 17, 0, 49, 73

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

// One level of instructions at a time is chosen by the machine; the reference is the double-precision path.
TEST_P(RotaryAttentionTest, MatchesReferenceWithGradients) {
  at::manual_seed(1);
  const Case& c = GetParam();
  const std::int64_t rows = kStarts.back();
  const RotaryAttention options = options_of(c, rows);
  std::vector<at::Tensor> inputs = {
      at::randn({rows, (c.heads + 2 * c.key_value_heads) * c.head_size}).to(c.type)};
  if (c.normed)
    for (int i = 0; i < 2; ++i) inputs.push_back(at::rand({c.groups, c.head_size}) + 0.5);
  const auto run = [&](const std::vector<at::Tensor>& x) {
    RotaryAttention own = options;
    if (c.normed) {
      own.query_norm = x[1];
      own.key_norm = x[2];
    }
    return rotary_attention(x[0], own, kStarts);
  };
  expect_same(inputs, run, run, c.tolerance);
}

INSTANTIATE_TEST_SUITE_P(Cases, RotaryAttentionTest,
                         testing::Values(Case{"plain", 2, 2, 32, false, false, false, 1, at::kFloat, 1e-5},
                                         Case{"half", 3, 3, 32, true, false, true, 1, at::kFloat, 1e-5},
                                         Case{"interleaved", 2, 2, 16, true, true, true, 1, at::kFloat, 1e-5},
                                         Case{"grouped_queries", 6, 2, 48, true, false, true, 1, at::kFloat,
                                              1e-5},
                                         Case{"two_streams", 4, 4, 32, true, true, true, 2, at::kFloat, 1e-5},
                                         Case{"wide_head", 1, 1, 128, true, true, false, 1, at::kFloat, 1e-5},
                                         Case{"odd_head", 2, 1, 24, true, false, true, 1, at::kFloat, 1e-5},
                                         Case{"bf16", 6, 6, 32, true, false, true, 1, at::kBFloat16, 2e-2}),
                         [](const auto& info) { return info.param.name; });

TEST(PackedAttention, MatchesReferenceWithGradients) {
  at::manual_seed(2);
  const std::vector<at::Tensor> inputs = {at::randn({140, 4, 32}), at::randn({140, 2, 32}),
                                          at::randn({140, 2, 32})};
  const auto run = [](const std::vector<at::Tensor>& x) {
    return packed_attention(x[0], x[1], x[2], kStarts);
  };
  expect_same(inputs, run, run, 1e-5);
}

TEST(PackedAttention, EveryInstructionSetAgrees) {
  at::manual_seed(3);
  const std::int64_t rows = kStarts.back(), heads = 2, width = 48;
  const at::Tensor x = at::randn({rows, heads * width}), k = at::randn({rows, heads * width}),
                   v = at::randn({rows, heads * width});
  AttentionInputs in;
  in.query = x.const_data_ptr();
  in.key = k.const_data_ptr();
  in.value = v.const_data_ptr();
  in.query_stride = in.key_stride = in.value_stride = heads * width;
  in.heads = in.key_value_heads = heads;
  in.head_size = width;
  in.document_starts = kStarts;
  const auto run = [&](InstructionSet level) {
    at::Tensor y = at::zeros({rows, heads * width}), sums = at::zeros({rows, heads});
    const AttentionOutputs out{y.mutable_data_ptr(), sums.mutable_data_ptr<float>()};
    attention_forward_kernel(level)(in, out, 0, in.task_count());
    at::Tensor gradients = at::zeros({3, rows, heads * width});
    AttentionGradients g;
    g.output = y.const_data_ptr();
    g.output_gradient = v.const_data_ptr();
    g.log_sum = sums.const_data_ptr<float>();
    g.query = gradients[0].mutable_data_ptr();
    g.key = gradients[1].mutable_data_ptr();
    g.value = gradients[2].mutable_data_ptr();
    g.query_stride = g.key_stride = g.value_stride = heads * width;
    attention_backward_kernel(level)(in, g, 0, in.task_count());
    return at::cat({y.unsqueeze(0), gradients});
  };
  const at::Tensor plain = run(InstructionSet::generic);
  if (instruction_set() >= InstructionSet::avx2)
    EXPECT_LT(difference(run(InstructionSet::avx2), plain), 1e-5);
  if (instruction_set() >= InstructionSet::avx512)
    EXPECT_LT(difference(run(InstructionSet::avx512), plain), 1e-5);
}

TEST(PackedAttention, DocumentsNeverSeeEachOther) {
  at::manual_seed(4);
  const at::Tensor q = at::randn({140, 2, 32}), k = at::randn({140, 2, 32}), v = at::randn({140, 2, 32});
  const at::Tensor together = packed_attention(q, k, v, kStarts);
  for (std::size_t d = 0; d + 1 < kStarts.size(); ++d) {
    const std::int64_t first = kStarts[d], length = kStarts[d + 1] - first;
    if (length == 0) continue;
    const std::vector<std::int64_t> own = {0, length};
    const at::Tensor alone = packed_attention(q.narrow(0, first, length), k.narrow(0, first, length),
                                              v.narrow(0, first, length), own);
    EXPECT_TRUE(alone.equal(together.narrow(0, first, length))) << "document " << d;
  }
}

TEST(PackedAttention, NotANumberIsNotHidden) {
  at::Tensor q = at::randn({20, 1, 16});
  const at::Tensor k = q.clone(), v = q.clone();
  q[7][0][3] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::int64_t> starts = {0, 20};
  const at::Tensor y = packed_attention(q, k, v, starts);
  EXPECT_TRUE(y[7].isnan().all().item<bool>());
  EXPECT_FALSE(y[8].isnan().any().item<bool>());
}

}  // namespace
}  // namespace omni::kernels
