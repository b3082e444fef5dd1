// The CUDA kernels of attention, run by the host's execution shim under AddressSanitizer and every schedule,
// against double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "attention_reference.h"
#include "device.h"
#include "hopper_attention_interface.h"
#include "packed_attention_interface.h"
#include "shim/half.h"
#include "shim/orders.h"

namespace omni::kernels::shim_test {
namespace {

using Bits = std::vector<std::uint16_t>;

// The two sets of kernels, with one interface.
struct Kernels {
  OmniCudaAttentionFunction forward;
  OmniCudaAttentionBackwardFunction backward;
  OmniCudaAttentionSupportsFunction supports;
};
constexpr Kernels kAmpere{omni_cuda_attention_forward, omni_cuda_attention_backward,
                          omni_cuda_attention_supports};
constexpr Kernels kHopper{omni_cuda_hopper_attention_forward, omni_cuda_hopper_attention_backward,
                          omni_cuda_hopper_attention_supports};

struct Case {
  std::string name;
  OmniCudaType type;
  int rows, key_rows, heads, key_value_heads, head_size;
  MaskKind mask;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

std::uint16_t to_bits(OmniCudaType type, double x) {
  const auto value = static_cast<float>(x);
  return type == kOmniCudaBfloat16 ? shim::bfloat16_bits(value) : shim::half_bits(value);
}
double to_double(OmniCudaType type, std::uint16_t bits) {
  return type == kOmniCudaBfloat16 ? shim::bfloat16_value(bits) : shim::half_value(bits);
}
Rounding rounding_of(OmniCudaType type) {
  if (type == kOmniCudaBfloat16) return {std::ldexp(1.0, -8), std::ldexp(1.0, -126)};
  return {std::ldexp(1.0, -11), std::ldexp(1.0, -25)};
}
Values doubles(OmniCudaType type, const Bits& bits) {
  Values values;
  for (const std::uint16_t b : bits) values.push_back(to_double(type, b));
  return values;
}
Bits random_bits(OmniCudaType type, std::size_t count, double size, std::mt19937_64& random) {
  std::normal_distribution<double> normal(0, size);
  Bits bits(count);
  for (std::uint16_t& b : bits) b = to_bits(type, normal(random));
  return bits;
}

// What a call reads, in buffers of exactly the right size.
struct Inputs {
  AttentionShape shape;
  OmniCudaType type;
  Spans spans;
  Bits query, key, value, output_gradient;
};

Inputs make_inputs(const Case& c) {
  std::mt19937_64 random(std::hash<std::string>{}(c.name));
  Inputs in;
  in.shape = {c.rows, c.key_rows, c.heads, c.key_value_heads, c.head_size, 1.3 / std::sqrt(c.head_size)};
  in.type = c.type;
  in.spans = make_spans(c.mask, c.rows, c.key_rows, random());
  const std::size_t queries = static_cast<std::size_t>(c.rows) * c.heads * c.head_size;
  const std::size_t keys = static_cast<std::size_t>(c.key_rows) * c.key_value_heads * c.head_size;
  in.query = random_bits(c.type, queries, 1.5, random);
  in.key = random_bits(c.type, keys, 1.5, random);
  in.value = random_bits(c.type, keys, 1.0, random);
  in.output_gradient = random_bits(c.type, queries, 0.5, random);
  return in;
}

// What a call writes; NaN before.
struct Outputs {
  Bits output, query_gradient, key_gradient, value_gradient;
  std::vector<float> log_sum;
  int status = 0;
  bool operator==(const Outputs& o) const {
    return status == o.status && output == o.output && query_gradient == o.query_gradient &&
           key_gradient == o.key_gradient && value_gradient == o.value_gradient &&
           log_sum.size() == o.log_sum.size() &&
           std::memcmp(log_sum.data(), o.log_sum.data(), log_sum.size() * sizeof(float)) == 0;
  }
};

OmniCudaHeads heads_of(Bits& bits, int heads, int head_size) {
  return {bits.data(), std::int64_t{heads} * head_size, head_size};
}
OmniCudaHeads heads_of(const Bits& bits, int heads, int head_size) {
  return heads_of(const_cast<Bits&>(bits), heads, head_size);
}

OmniCudaAttention arguments_of(const Inputs& in, Outputs& out) {
  const AttentionShape& s = in.shape;
  out.output.assign(in.query.size(), 0x7fff);
  out.log_sum.assign(static_cast<std::size_t>(s.heads) * s.rows, std::nanf(""));
  OmniCudaAttention a{};
  a.query = heads_of(in.query, s.heads, s.head_size);
  a.key = heads_of(in.key, s.key_value_heads, s.head_size);
  a.value = heads_of(in.value, s.key_value_heads, s.head_size);
  a.output = heads_of(out.output, s.heads, s.head_size);
  a.log_sum = out.log_sum.data();
  a.key_first = in.spans.first.data();
  a.key_last = in.spans.last.data();
  a.query_rows = s.rows;
  a.key_rows = s.key_rows;
  a.heads = s.heads;
  a.key_value_heads = s.key_value_heads;
  a.head_size = s.head_size;
  a.scale = static_cast<float>(s.scale);
  a.type = in.type;
  return a;
}

void run_backward(const Kernels& kernels, const Inputs& in, const OmniCudaAttention& forward, bool atomic,
                  Outputs& out) {
  const AttentionShape& s = in.shape;
  out.query_gradient.assign(in.query.size(), 0x7fff);
  out.key_gradient.assign(in.key.size(), 0x7fff);
  out.value_gradient.assign(in.value.size(), 0x7fff);
  std::vector<float> row_numbers(2 * out.log_sum.size()),
      query_sums(atomic ? in.query.size() : 0, std::nanf(""));
  OmniCudaAttentionBackward b{};
  b.forward = forward;
  b.output_gradient = heads_of(in.output_gradient, s.heads, s.head_size);
  b.query_gradient = heads_of(out.query_gradient, s.heads, s.head_size);
  b.key_gradient = heads_of(out.key_gradient, s.key_value_heads, s.head_size);
  b.value_gradient = heads_of(out.value_gradient, s.key_value_heads, s.head_size);
  b.row_numbers = row_numbers.data();
  b.query_sums = atomic ? query_sums.data() : nullptr;
  out.status = kernels.backward(&b, nullptr);
}

Outputs run(const Inputs& in, bool atomic, const Kernels& kernels = kAmpere) {
  Outputs out;
  const OmniCudaAttention a = arguments_of(in, out);
  out.status = kernels.forward(&a, nullptr);
  if (out.status == 0) run_backward(kernels, in, a, atomic, out);
  return out;
}

// The largest error in units of its bound; infinity for NaN.
double worst(const Values& computed, const Bounded& truth) {
  double ratio = 0;
  for (std::size_t i = 0; i < computed.size(); ++i) {
    if (computed[i] == truth.value[i]) continue;
    const double r = std::fabs(computed[i] - truth.value[i]) / truth.error[i];
    ratio = r <= ratio ? ratio : (std::isnan(r) ? std::numeric_limits<double>::infinity() : r);
  }
  return ratio;
}

AttentionTruth truth_of(const Inputs& in) {
  return attention_truth(in.shape, in.spans, doubles(in.type, in.query), doubles(in.type, in.key),
                         doubles(in.type, in.value), doubles(in.type, in.output_gradient),
                         rounding_of(in.type));
}

void check(const Inputs& in, const Outputs& out, const AttentionTruth& truth) {
  ASSERT_EQ(out.status, 0);
  EXPECT_LE(worst(doubles(in.type, out.output), truth.output), 1);
  EXPECT_LE(worst(Values(out.log_sum.begin(), out.log_sum.end()), truth.log_sum), 1);
  EXPECT_LE(worst(doubles(in.type, out.query_gradient), truth.query_gradient), 1);
  EXPECT_LE(worst(doubles(in.type, out.key_gradient), truth.key_gradient), 1);
  EXPECT_LE(worst(doubles(in.type, out.value_gradient), truth.value_gradient), 1);
}

class AttentionShim : public testing::TestWithParam<Case> {};

TEST_P(AttentionShim, MatchesDoublePrecisionInEveryOrder) {
  const Inputs in = make_inputs(GetParam());
  const AttentionTruth truth = truth_of(in);
  Outputs out;
  EXPECT_EQ(shim::for_every_order([&] { return run(in, false); }, out), "");
  check(in, out, truth);
  if (!omni_cuda_attention_atomic(in.shape.head_size)) return;
  // Atomic float sums depend on the order of the blocks, and on nothing else.
  EXPECT_EQ(shim::for_every_order([&] { return run(in, true); }, out, false), "");
  check(in, out, truth);
}

constexpr OmniCudaType kBf16 = kOmniCudaBfloat16, kFp16 = kOmniCudaFloat16;
const Case kCases[] = {
    {"bf16_64_one_row", kBf16, 1, 1, 1, 1, 64, MaskKind::causal_documents},
    {"bf16_64_causal", kBf16, 203, 203, 2, 1, 64, MaskKind::causal_documents},
    {"bf16_64_spans", kBf16, 277, 277, 1, 1, 64, MaskKind::spans},
    {"bf16_64_full", kBf16, 130, 197, 2, 2, 64, MaskKind::full},
    {"bf16_64_empty", kBf16, 261, 261, 1, 1, 64, MaskKind::with_empty},
    {"bf16_64_gaps", kBf16, 150, 700, 1, 1, 64, MaskKind::gaps},
    {"bf16_64_scattered", kBf16, 140, 330, 3, 1, 64, MaskKind::scattered},
    {"bf16_64_many_keys", kBf16, 70, 650, 1, 1, 64, MaskKind::full},
    {"bf16_128_causal", kBf16, 171, 171, 2, 2, 128, MaskKind::causal_documents},
    {"bf16_128_spans", kBf16, 199, 199, 3, 1, 128, MaskKind::spans},
    {"bf16_128_full", kBf16, 67, 131, 1, 1, 128, MaskKind::full},
    {"bf16_128_gaps", kBf16, 131, 500, 1, 1, 128, MaskKind::gaps},
    {"fp16_128_empty", kFp16, 139, 139, 2, 1, 128, MaskKind::with_empty},
    {"fp16_64_spans", kFp16, 190, 190, 2, 1, 64, MaskKind::spans},
    {"fp16_32_scattered", kFp16, 150, 211, 2, 1, 32, MaskKind::scattered},
    {"bf16_32_causal", kBf16, 300, 300, 2, 1, 32, MaskKind::causal_documents},
    {"bf16_24_spans", kBf16, 101, 101, 2, 1, 24, MaskKind::spans},
    {"bf16_80_spans", kBf16, 133, 133, 2, 1, 80, MaskKind::spans},
    {"fp16_96_full", kFp16, 70, 90, 1, 1, 96, MaskKind::full},
    {"bf16_192_spans", kBf16, 99, 99, 2, 1, 192, MaskKind::spans},
    {"fp16_256_causal", kFp16, 87, 87, 1, 1, 256, MaskKind::causal_documents},
    {"bf16_256_gaps", kBf16, 70, 300, 2, 1, 256, MaskKind::gaps},
};
INSTANTIATE_TEST_SUITE_P(Table, AttentionShim, testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

// The same table, of what the kernels for Hopper take.
class HopperAttentionShim : public testing::TestWithParam<Case> {};

TEST_P(HopperAttentionShim, MatchesDoublePrecisionInEveryOrder) {
  const Inputs in = make_inputs(GetParam());
  Outputs out;
  EXPECT_EQ(shim::for_every_order([&] { return run(in, false, kHopper); }, out), "");
  check(in, out, truth_of(in));
}

std::vector<Case> hopper_cases() {
  std::vector<Case> cases;
  std::copy_if(std::begin(kCases), std::end(kCases), std::back_inserter(cases),
               [](const Case& c) { return c.type == kBf16 && c.head_size >= 64 && c.head_size <= 128; });
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Table, HopperAttentionShim, testing::ValuesIn(hopper_cases()),
                         [](const auto& info) { return info.param.name; });

// The reference itself, by central differences of its objective.
TEST(AttentionReference, GradientsAreThoseOfFiniteDifferences) {
  const Case c{"reference", kBf16, 9, 9, 4, 2, 8, MaskKind::spans};
  const Inputs in = make_inputs(c);
  Values query = doubles(c.type, in.query), key = doubles(c.type, in.key), value = doubles(c.type, in.value);
  const Values gradient = doubles(c.type, in.output_gradient);
  const AttentionTruth truth = truth_of(in);
  const auto check_all = [&](Values& x, const Values& analytic) {
    constexpr double kStep = 1e-5;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double kept = x[i];
      x[i] = kept + kStep;
      const double above = attention_objective(in.shape, in.spans, query, key, value, gradient);
      x[i] = kept - kStep;
      const double below = attention_objective(in.shape, in.spans, query, key, value, gradient);
      x[i] = kept;
      ASSERT_NEAR((above - below) / (2 * kStep), analytic[i], 1e-8) << i;
    }
  };
  check_all(query, truth.query_gradient.value);
  check_all(key, truth.key_gradient.value);
  check_all(value, truth.value_gradient.value);
}

// Two documents of whole tiles; what one of them must not see is NaN.
TEST(AttentionShimTiles, UnseenOnesAreNotRead) {
  Case c{"unseen", kBf16, 256, 256, 1, 1, 64, MaskKind::full};
  Inputs in = make_inputs(c);
  for (int i = 0; i < c.rows; ++i) {
    in.spans.first[i] = i / 128 * 128;
    in.spans.last[i] = i + 1;
  }
  const Outputs before = run(in, false);
  for (Bits* bits : {&in.query, &in.key, &in.value, &in.output_gradient})
    std::fill(bits->begin(), bits->begin() + 128 * 64, 0x7fff);
  const Outputs after = run(in, false);
  ASSERT_EQ(after.status, 0);
  const auto half = static_cast<std::ptrdiff_t>(before.output.size() / 2);
  const auto second_half = [&](const Bits& bits) { return Bits(bits.begin() + half, bits.end()); };
  EXPECT_EQ(second_half(before.output), second_half(after.output));
  EXPECT_EQ(second_half(before.query_gradient), second_half(after.query_gradient));
  EXPECT_EQ(second_half(before.key_gradient), second_half(after.key_gradient));
  EXPECT_EQ(second_half(before.value_gradient), second_half(after.value_gradient));
}

// Queries, keys and values as columns of one tensor, and gradients likewise.
TEST(AttentionShimStrides, ViewsOfOneTensorGiveTheSame) {
  const Case c{"views", kBf16, 90, 90, 4, 2, 64, MaskKind::spans};
  const Inputs in = make_inputs(c);
  const Outputs apart = run(in, false);
  const int width = (c.heads + 2 * c.key_value_heads) * c.head_size;
  const int query_width = c.heads * c.head_size, key_width = c.key_value_heads * c.head_size;
  Bits joined(static_cast<std::size_t>(c.rows) * width);
  for (int row = 0; row < c.rows; ++row) {
    std::uint16_t* to = &joined[static_cast<std::size_t>(row) * width];
    std::copy_n(&in.query[row * query_width], query_width, to);
    std::copy_n(&in.key[row * key_width], key_width, to + query_width);
    std::copy_n(&in.value[row * key_width], key_width, to + query_width + key_width);
  }
  Outputs out;
  OmniCudaAttention a = arguments_of(in, out);
  const auto view = [&](Bits& bits, int column) { return OmniCudaHeads{&bits[column], width, c.head_size}; };
  a.query = view(joined, 0), a.key = view(joined, query_width),
  a.value = view(joined, query_width + key_width);
  ASSERT_EQ(omni_cuda_attention_forward(&a, nullptr), 0);
  EXPECT_EQ(out.output, apart.output);

  Bits gradients(joined.size(), 0x7fff);
  std::vector<float> row_numbers(2 * out.log_sum.size());
  OmniCudaAttentionBackward b{};
  b.forward = a;
  b.output_gradient = heads_of(in.output_gradient, c.heads, c.head_size);
  b.query_gradient = view(gradients, 0), b.key_gradient = view(gradients, query_width);
  b.value_gradient = view(gradients, query_width + key_width);
  b.row_numbers = row_numbers.data();
  ASSERT_EQ(omni_cuda_attention_backward(&b, nullptr), 0);
  for (int row = 0; row < c.rows; ++row) {
    const std::uint16_t* from = &gradients[static_cast<std::size_t>(row) * width];
    ASSERT_TRUE(std::equal(from, from + query_width, &apart.query_gradient[row * query_width]));
    ASSERT_TRUE(
        std::equal(from + query_width, from + query_width + key_width, &apart.key_gradient[row * key_width]));
    ASSERT_TRUE(
        std::equal(from + query_width + key_width, from + width, &apart.value_gradient[row * key_width]));
  }
}

TEST(AttentionShimLengths, NothingToDoIsDone) {
  const Inputs no_keys = make_inputs({"no keys", kBf16, 5, 0, 1, 1, 64, MaskKind::full});
  const Inputs no_rows = make_inputs({"no rows", kBf16, 0, 70, 1, 1, 64, MaskKind::full});
  for (const Kernels& kernels : {kAmpere, kHopper}) {
    const Outputs zero = run(no_keys, false, kernels);
    ASSERT_EQ(zero.status, 0);
    EXPECT_EQ(zero.output, Bits(5 * 64, 0));
    EXPECT_EQ(zero.query_gradient, Bits(5 * 64, 0));
    for (const float x : zero.log_sum) EXPECT_EQ(x, -std::numeric_limits<float>::infinity());
    for (const bool atomic : {false, true}) {
      const Outputs out = run(no_rows, atomic, kernels);
      ASSERT_EQ(out.status, 0);
      EXPECT_EQ(out.key_gradient, Bits(70 * 64, 0));
      EXPECT_EQ(out.value_gradient, Bits(70 * 64, 0));
    }
  }
}

// Spans that point outside of the keys read nothing there (AddressSanitizer watches).
TEST(AttentionShimSpans, WrongOnesAreCut) {
  const Case c{"cut", kBf16, 70, 70, 1, 1, 64, MaskKind::full};
  Inputs in = make_inputs(c);
  const Outputs right = run(in, false);
  std::fill(in.spans.first.begin(), in.spans.first.end(), -1000);
  std::fill(in.spans.last.begin(), in.spans.last.end(), 1 << 30);
  const Outputs cut = run(in, false);
  EXPECT_TRUE(right == cut);
}

TEST(AttentionShimRefusals, WhatNoKernelTakes) {
  const Case c{"refused", kBf16, 20, 20, 4, 2, 64, MaskKind::full};
  const Inputs in = make_inputs(c);
  Outputs out;
  const OmniCudaAttention good = arguments_of(in, out);
  EXPECT_EQ(omni_cuda_attention_supports(&good), 1);
  const auto refused = [&](auto&& change) {
    OmniCudaAttention a = good;
    change(a);
    OmniCudaAttentionBackward b{};
    b.forward = a;
    return !omni_cuda_attention_supports(&a) &&
           omni_cuda_attention_forward(&a, nullptr) == kOmniCudaUnsupported &&
           omni_cuda_attention_backward(&b, nullptr) == kOmniCudaUnsupported;
  };
  EXPECT_TRUE(refused([](OmniCudaAttention& a) { a.head_size = 60; }));
  EXPECT_TRUE(refused([](OmniCudaAttention& a) { a.head_size = 264; }));
  EXPECT_TRUE(refused([](OmniCudaAttention& a) { a.head_size = 0; }));
  EXPECT_TRUE(refused([](OmniCudaAttention& a) { a.type = kOmniCudaFloat; }));
  EXPECT_TRUE(refused([](OmniCudaAttention& a) { a.scale = 0; }));
  EXPECT_TRUE(refused([](OmniCudaAttention& a) { a.scale = std::nanf(""); }));
  EXPECT_TRUE(refused([](OmniCudaAttention& a) { a.key_value_heads = 3; }));
  EXPECT_TRUE(refused([](OmniCudaAttention& a) { a.heads = a.key_value_heads = 65536; }));
  EXPECT_TRUE(refused([](OmniCudaAttention& a) { a.query_rows = -1; }));
  EXPECT_TRUE(refused([](OmniCudaAttention& a) { a.key.row_stride += 1; }));
  EXPECT_TRUE(refused([](OmniCudaAttention& a) { a.value.head_stride += 4; }));
  EXPECT_TRUE(
      refused([](OmniCudaAttention& a) { a.query.data = static_cast<std::uint16_t*>(a.query.data) + 1; }));
  OmniCudaAttention output_apart = good;
  output_apart.output.row_stride += 1;
  EXPECT_EQ(omni_cuda_attention_forward(&output_apart, nullptr), kOmniCudaUnsupported);
  OmniCudaAttentionBackward workspace_apart{};
  workspace_apart.forward = good;
  workspace_apart.row_numbers = out.log_sum.data() + 1;
  EXPECT_EQ(omni_cuda_attention_backward(&workspace_apart, nullptr), kOmniCudaUnsupported);
}

}  // namespace
}  // namespace omni::kernels::shim_test
