#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "attention_truth.h"
#include "cpu/packed_attention_kernels.h"
#include "gradient_check.h"
#include "instruction_sets.h"
#include "omni/core/error.h"
#include "omni/kernels/packed_attention.h"
#include "omni/kernels/rotary_attention.h"

namespace omni::kernels {
namespace {

const std::vector<std::int64_t> kStarts = {0, 1, 18, 18, 67, 140};  // lengths 1, 17, 0, 49, 73

// bf16 keeps 8 bits: outputs and gradients round to 2^-9 of their size, and where the processor multiplies
// bf16 directly probabilities and score gradients do too.
double tolerance_of(at::ScalarType type) { return type == at::kBFloat16 ? 2e-2 : 1e-5; }

struct RawResult {
  at::Tensor output, log_sum, query, key, value;
};

// Runs one instruction set's kernels on [rows, heads, head_size] tensors.
RawResult run_raw(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  const at::Tensor& output_gradient, const AttentionSpans& spans, InstructionSet level) {
  const AttentionSchedule schedule = attention_schedule(spans);
  AttentionInputs in;
  in.bf16 = query.scalar_type() == at::kBFloat16;
  in.query = query.const_data_ptr();
  in.key = key.const_data_ptr();
  in.value = value.const_data_ptr();
  in.query_stride = query.stride(0);
  in.key_stride = in.value_stride = key.stride(0);
  in.heads = query.size(1);
  in.key_value_heads = key.size(1);
  in.head_size = query.size(2);
  in.key_first = spans.key_first().data();
  in.key_last = spans.key_last().data();
  in.schedule = &schedule;
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  RawResult r{at::full_like(query, nan), at::full({query.size(0), query.size(1)}, nan, at::kFloat),
              at::full_like(query, nan), at::full_like(key, nan), at::full_like(value, nan)};
  const AttentionKernels kernels = attention_kernels(in.bf16, level);
  std::atomic<std::int64_t> next = 0;
  kernels.forward(in, {r.output.mutable_data_ptr(), r.log_sum.mutable_data_ptr<float>()}, next);
  AttentionGradients g;
  g.output = r.output.const_data_ptr();
  g.output_gradient = output_gradient.const_data_ptr();
  g.log_sum = r.log_sum.const_data_ptr<float>();
  g.query = r.query.mutable_data_ptr();
  g.key = r.key.mutable_data_ptr();
  g.value = r.value.mutable_data_ptr();
  g.query_stride = query.stride(0);
  g.key_stride = g.value_stride = key.stride(0);
  const at::Tensor partial =
      at::empty({2, in.key_value_heads, schedule.partial_rows, in.head_size}, at::kFloat);
  g.key_partial = partial[0].mutable_data_ptr<float>();
  g.value_partial = partial[1].mutable_data_ptr<float>();
  next = 0;
  kernels.backward(in, g, next);
  next = 0;
  kernels.backward_shared(in, g, next);
  return r;
}

at::Tensor true_log_sums(const at::Tensor& query, const at::Tensor& key, const AttentionSpans& spans) {
  const std::int64_t group = query.size(1) / key.size(1);
  at::Tensor sums =
      at::full({query.size(0), query.size(1)}, -std::numeric_limits<double>::infinity(), at::kDouble);
  for (std::int64_t i = 0; i < spans.rows(); ++i) {
    const std::int64_t first = spans.key_first()[i], count = spans.key_last()[i] - first;
    if (count == 0) continue;
    const at::Tensor seen = key.narrow(0, first, count).to(at::kDouble).repeat_interleave(group, 1);
    sums[i] = ((seen * query[i].to(at::kDouble)).sum(-1) / std::sqrt(double(query.size(2)))).logsumexp(0);
  }
  return sums;
}

struct SpanCase {
  const char* name;
  AttentionSpans (*make)(std::int64_t rows, std::mt19937& random);
};
AttentionSpans random_causal(std::int64_t rows, std::mt19937& random) {
  return AttentionSpans::causal(random_documents(rows, random));
}
AttentionSpans all_see_all(std::int64_t rows, std::mt19937&) {
  return {std::vector<std::int32_t>(rows, 0),
          std::vector<std::int32_t>(rows, static_cast<std::int32_t>(rows))};
}
AttentionSpans nothing_seen(std::int64_t rows, std::mt19937&) {
  return {std::vector<std::int32_t>(rows, 0), std::vector<std::int32_t>(rows, 0)};
}
const SpanCase kSpanCases[] = {{"causal", random_causal},
                               {"segments", random_segments},
                               {"windows", random_windows},
                               {"full", all_see_all},
                               {"nothing", nothing_seen}};

struct SizeCase {
  std::int64_t rows, heads, key_value_heads, head_size;
};

class AttentionKernelTest : public testing::TestWithParam<std::tuple<SizeCase, at::ScalarType>> {};

void expect_double_precision(const SizeCase& size, at::ScalarType type, const AttentionSpans& spans) {
  const auto make = [&](std::int64_t heads) {
    return at::randn({size.rows, heads, size.head_size}).to(type);
  };
  const at::Tensor query = make(size.heads), key = make(size.key_value_heads),
                   value = make(size.key_value_heads), gradient = make(size.heads);
  std::vector<at::Tensor> exact;
  for (const at::Tensor& x : {query, key, value}) exact.push_back(x.to(at::kDouble).requires_grad_());
  const at::Tensor truth = true_attention(exact[0], exact[1], exact[2], spans);
  truth.backward(gradient.to(at::kDouble));
  const at::Tensor log_sums = true_log_sums(query, key, spans);
  const double tolerance = tolerance_of(type);
  for (const InstructionSet level : levels()) {
    SCOPED_TRACE(static_cast<int>(level));
    const RawResult r = run_raw(query, key, value, gradient, spans, level);
    EXPECT_LT(difference(r.output, truth.detach()), tolerance);
    EXPECT_TRUE(at::allclose(r.log_sum.to(at::kDouble), log_sums, 1e-5, 1e-5));
    EXPECT_LT(difference(r.query, exact[0].grad()), tolerance) << "query";
    EXPECT_LT(difference(r.key, exact[1].grad()), tolerance) << "key";
    EXPECT_LT(difference(r.value, exact[2].grad()), tolerance) << "value";
  }
}

TEST_P(AttentionKernelTest, EveryInstructionSetMatchesDoublePrecision) {
  const auto [size, type] = GetParam();
  for (const SpanCase& kind : kSpanCases) {
    SCOPED_TRACE(kind.name);
    at::manual_seed(11);
    std::mt19937 random(static_cast<unsigned>(size.rows));
    expect_double_precision(size, type, kind.make(size.rows, random));
  }
}

INSTANTIATE_TEST_SUITE_P(Table, AttentionKernelTest,
                         testing::Combine(testing::Values(SizeCase{1, 1, 1, 16}, SizeCase{7, 2, 1, 32},
                                                          SizeCase{61, 1, 1, 48}, SizeCase{197, 2, 2, 64},
                                                          SizeCase{151, 4, 2, 32}, SizeCase{143, 3, 1, 80},
                                                          SizeCase{171, 1, 1, 128}, SizeCase{53, 1, 1, 256}),
                                          testing::Values(at::kFloat, at::kBFloat16)),
                         [](const auto& info) {
                           const SizeCase& size = std::get<0>(info.param);
                           return std::to_string(size.rows) + "x" + std::to_string(size.head_size) +
                                  (std::get<1>(info.param) == at::kFloat ? "_fp32" : "_bf16");
                         });

// Islands that are cut into chunks: gradients of keys are sums over chunks.
TEST(PackedAttentionSlow, LongDocumentsMatchDoublePrecision) {
  at::manual_seed(12);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const std::vector<std::int64_t> starts = {0, 37, 2111, 2150};
    const auto spans = AttentionSpans::causal_with_segments(starts, std::vector<RowRange>{{1000, 1400}});
    ASSERT_EQ(attention_schedule(spans).shared.size(), 1u);
    const auto run = [&](const std::vector<at::Tensor>& x) {
      return packed_attention(x[0], x[1], x[2], spans);
    };
    const auto truth = [&](const std::vector<at::Tensor>& x) {
      return true_attention(x[0], x[1], x[2], spans);
    };
    expect_same({at::randn({2150, 2, 32}).to(type), at::randn({2150, 1, 32}).to(type),
                 at::randn({2150, 1, 32}).to(type)},
                run, truth, tolerance_of(type));
  }
}

TEST(PackedAttention, ThreadCountDoesNotChangeABit) {
  at::manual_seed(13);
  const std::vector<std::int64_t> starts = {0, 5, 2100, 2300};
  const auto options = at::TensorOptions().dtype(at::kBFloat16);
  const at::Tensor noise = at::randn({2300, 2, 32}).to(at::kBFloat16);
  const at::Tensor source = at::randn({3, 2300, 2, 32}).to(options);
  const auto run = [&](int threads) {
    at::set_num_threads(threads);
    std::vector<at::Tensor> x;
    for (int i = 0; i < 3; ++i) x.push_back(source[i].clone().requires_grad_());
    const at::Tensor y = packed_attention(x[0], x[1], x[2], starts);
    y.backward(noise);
    return at::stack({y.detach(), x[0].grad(), x[1].grad(), x[2].grad()});
  };
  const int before = at::get_num_threads();
  const at::Tensor alone = run(1), together = run(3);
  at::set_num_threads(before);
  EXPECT_TRUE(alone.equal(together));
}

TEST(PackedAttention, DocumentsNeverSeeEachOther) {
  at::manual_seed(4);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor q = at::randn({140, 2, 32}).to(type), k = at::randn({140, 2, 32}).to(type),
                     v = at::randn({140, 2, 32}).to(type);
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
}

TEST(PackedAttention, FiniteDifferences) {
  at::manual_seed(14);
  std::mt19937 random(3);
  const AttentionSpans spans = random_segments(40, random);
  std::vector<at::Tensor> x;
  for (int i = 0; i < 3; ++i) x.push_back(at::randn({40, 1, 16}).requires_grad_());
  const at::Tensor noise = at::randn({40, 1, 16});
  const auto value = [&] { return (packed_attention(x[0], x[1], x[2], spans) * noise).sum(at::kDouble); };
  value().backward();
  for (int i = 0; i < 3; ++i) {
    const at::Tensor direction = at::randn({40, 1, 16});
    const c10::NoGradGuard guard;
    const double step = 1e-2, slope = (x[i].grad() * direction).sum(at::kDouble).item<double>();
    x[i].add_(direction, step);
    const double above = value().item<double>();
    x[i].add_(direction, -2 * step);
    const double below = value().item<double>();
    x[i].add_(direction, step);
    EXPECT_NEAR((above - below) / (2 * step), slope, 1e-2 * (1 + std::abs(slope))) << "input " << i;
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

// Scores of some thousands: fp32 keeps them to 3e-4, and so the probabilities.
TEST(PackedAttention, LargeScoresStayFinite) {
  at::manual_seed(15);
  const auto spans = AttentionSpans::causal(std::vector<std::int64_t>{0, 70});
  const at::Tensor q = at::randn({70, 1, 32}) * 30, k = at::randn({70, 1, 32}) * 30;
  const at::Tensor v = at::randn({70, 1, 32});
  EXPECT_LT(difference(packed_attention(q, k, v, spans), true_attention(q, k, v, spans)), 1e-3);
}

TEST(PackedAttention, EveryPathAgrees) {
  at::manual_seed(16);
  const auto spans = AttentionSpans::causal(kStarts);
  const at::Tensor q = at::randn({140, 4, 32}), k = at::randn({140, 2, 32}), v = at::randn({140, 2, 32});
  const at::Tensor truth = true_attention(q, k, v, spans);
  for (const AttentionPath path :
       {AttentionPath::automatic, AttentionPath::kernel, AttentionPath::library, AttentionPath::reference})
    EXPECT_LT(difference(packed_attention(q, k, v, spans, path), truth), 1e-5) << static_cast<int>(path);
  std::mt19937 random(9);
  const AttentionSpans windows = random_windows(140, random);
  EXPECT_LT(difference(packed_attention(q, k, v, windows, AttentionPath::reference),
                       true_attention(q, k, v, windows)),
            1e-5);
}

TEST(PackedAttention, PathsHaveNames) {
  EXPECT_EQ(parse_attention_path("auto"), AttentionPath::automatic);
  EXPECT_EQ(parse_attention_path("reference"), AttentionPath::reference);
  EXPECT_EQ(parse_attention_path("hopper"), AttentionPath::hopper);
  EXPECT_EQ(parse_attention_path("cudnn"), AttentionPath::cudnn);
  EXPECT_THROW(parse_attention_path("flash"), Error);
}

TEST(PackedAttention, FallsBackAndRefusesToBeForced) {
  at::manual_seed(17);
  std::mt19937 random(2);
  const AttentionSpans spans = random_segments(90, random);
  for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kDouble}) {
    const at::Tensor q = at::randn({90, 2, 20}).to(type), k = at::randn({90, 2, 20}).to(type);
    EXPECT_LT(difference(packed_attention(q, k, k, spans), true_attention(q, k, k, spans)),
              type == at::kHalf ? 3e-3 : 1e-5);
    for (const AttentionPath path :
         {AttentionPath::kernel, AttentionPath::library, AttentionPath::hopper, AttentionPath::cudnn})
      EXPECT_THROW(packed_attention(q, k, k, spans, path), Error) << static_cast<int>(path);
  }
}

// Why cuDNN refuses, as the error tells it.
std::string cudnn_error() {
  const at::Tensor x = at::zeros({4, 2, 64}, at::kBFloat16);
  try {
    packed_attention(x, x, x, AttentionSpans::causal(std::vector<std::int64_t>{0, 4}), AttentionPath::cudnn);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(PackedAttention, CudnnKeepsLibTorchsGates) {
  at::Context& context = at::globalContext();
  const bool deterministic = context.deterministicAlgorithms();
  const bool warn_only = context.deterministicAlgorithmsWarnOnly(), enabled = context.userEnabledCuDNNSDP();
  context.setDeterministicAlgorithms(true, false);
  const std::string when_deterministic = cudnn_error();
  context.setDeterministicAlgorithms(true, true);
  const std::string when_warning = cudnn_error();
  context.setDeterministicAlgorithms(false, false);
  context.setSDPUseCuDNN(false);
  const std::string when_off = cudnn_error();
  context.setSDPUseCuDNN(enabled);
  context.setDeterministicAlgorithms(deterministic, warn_only);
  EXPECT_NE(when_deterministic.find("not deterministic"), std::string::npos) << when_deterministic;
  EXPECT_NE(when_warning.find("not on a CUDA device"), std::string::npos) << when_warning;
  EXPECT_NE(when_off.find("switched off"), std::string::npos) << when_off;
}

TEST(PackedAttention, RefusesShapesThatDoNotFit) {
  const auto spans = AttentionSpans::causal(kStarts);
  const at::Tensor q = at::randn({140, 4, 32}), k = at::randn({140, 2, 32});
  EXPECT_THROW(packed_attention(q, k, at::randn({140, 2, 16}), spans), Error);
  EXPECT_THROW(packed_attention(q, at::randn({140, 3, 32}), at::randn({140, 3, 32}), spans), Error);
  EXPECT_THROW(packed_attention(q.narrow(0, 0, 139), k, k, spans), Error);
  EXPECT_THROW(packed_attention(q.flatten(1), k, k, spans), Error);
}

TEST(PackedAttention, NoRowsGiveNoRows) {
  const at::Tensor none = at::zeros({0, 2, 32}).requires_grad_();
  const at::Tensor y = packed_attention(none, none, none, std::vector<std::int64_t>{0});
  EXPECT_EQ(y.sizes(), none.sizes());
  y.sum().backward();
  EXPECT_EQ(none.grad().numel(), 0);
}

TEST(PackedAttention, TakesRowsThatAreNotDense) {
  at::manual_seed(18);
  const at::Tensor wide = at::randn({140, 3, 96});
  const auto spans = AttentionSpans::causal(kStarts);
  const at::Tensor q = wide.narrow(2, 0, 32), k = wide.narrow(2, 32, 32), v = wide.narrow(2, 64, 32);
  EXPECT_LT(difference(packed_attention(q, k, v, spans), true_attention(q, k, v, spans)), 1e-5);
}

}  // namespace
}  // namespace omni::kernels
