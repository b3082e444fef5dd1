#include "omni/kernels/decode_linear.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "decode_linear_call.h"
#include "gradient_check.h"
#include "instruction_sets.h"
#include "omni/core/error.h"

namespace omni::kernels {
namespace {

class DecodeLinearTest : public testing::TestWithParam<std::tuple<std::pair<int, int>, DecodeFormat>> {};

void expect_double_precision(int rows, const at::Tensor& weight, DecodeFormat format, at::ScalarType type,
                             bool with_bias) {
  const at::Tensor x = at::randn({rows, weight.size(1)}).to(type);
  const at::Tensor bias = with_bias ? at::randn({weight.size(0)}) : at::Tensor();
  const DecodeWeight packed(weight, format);
  const at::Tensor y = decode_linear(x, packed, bias);
  // The truth uses the weight and inputs as they are kept.
  const at::Tensor kept = format == DecodeFormat::bf16 ? x.to(at::kBFloat16) : x;
  at::Tensor truth = at::mm(kept.to(at::kDouble), packed.unpacked().to(at::kDouble).t());
  if (with_bias) truth = truth + bias;
  EXPECT_EQ(y.scalar_type(), type);
  // Fixed-point inputs are off by 1 / 65534 of the row's largest at the most, at random.
  const double tolerance = type == at::kBFloat16 ? 4e-3 : format == DecodeFormat::int8 ? 1e-4 : 1e-5;
  EXPECT_LT(difference(y, truth), tolerance);
}

TEST_P(DecodeLinearTest, MatchesDoublePrecision) {
  const auto [sizes, format] = GetParam();
  at::manual_seed(sizes.first);
  const at::Tensor weight = at::randn({sizes.first, sizes.second});
  for (const int rows : {1, 2, 3, 8, 19})
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
      for (const bool with_bias : {false, true}) {
        SCOPED_TRACE(testing::Message() << rows << " rows, " << type << (with_bias ? ", bias" : ""));
        expect_double_precision(rows, weight, format, type, with_bias);
      }
}

INSTANTIATE_TEST_SUITE_P(Table, DecodeLinearTest,
                         testing::Combine(testing::Values(std::pair{1, 1}, std::pair{33, 7},
                                                          std::pair{64, 130}, std::pair{250, 515}),
                                          testing::Values(DecodeFormat::fp32, DecodeFormat::bf16,
                                                          DecodeFormat::int8)));

TEST(DecodeWeight, KeepsWhatItsFormatCanHold) {
  at::manual_seed(1);
  const at::Tensor weight = at::randn({45, 71});
  EXPECT_TRUE(DecodeWeight(weight, DecodeFormat::fp32).unpacked().equal(weight));
  EXPECT_TRUE(
      DecodeWeight(weight, DecodeFormat::bf16).unpacked().equal(weight.to(at::kBFloat16).to(at::kFloat)));
  const at::Tensor step = weight.abs().amax(1, true) / 127;
  const at::Tensor error = (DecodeWeight(weight, DecodeFormat::int8).unpacked() - weight).abs();
  EXPECT_TRUE((error <= step * 0.5001).all().item<bool>());
  EXPECT_EQ(DecodeWeight(weight, DecodeFormat::int8).bytes(), 2 * 18 * 32 * 4);
  const at::Tensor zeros = at::zeros({3, 5});
  EXPECT_TRUE(DecodeWeight(zeros, DecodeFormat::int8).unpacked().equal(zeros));
}

TEST(DecodeWeight, RefusesWhatItCannotPack) {
  EXPECT_THROW(DecodeWeight(at::zeros({4}), DecodeFormat::bf16), Error);
  EXPECT_THROW(DecodeWeight(at::zeros({0, 4}), DecodeFormat::bf16), Error);
  EXPECT_THROW(DecodeWeight(at::zeros({4, 4}, at::kInt), DecodeFormat::bf16), Error);
  EXPECT_THROW(
      DecodeWeight(at::full({4, 4}, std::numeric_limits<double>::infinity(), at::kFloat), DecodeFormat::int8),
      Error);
  EXPECT_THROW(decode_linear(at::zeros({1, 4}), DecodeWeight(), {}), Error);
  EXPECT_THROW(decode_linear(at::zeros({1, 4}), DecodeWeight(at::ones({4, 5}), DecodeFormat::bf16), {}),
               Error);
  EXPECT_THROW(
      decode_linear(at::zeros({1, 5}), DecodeWeight(at::ones({4, 5}), DecodeFormat::bf16), at::ones({5})),
      Error);
}

at::Tensor bf16_numbers(at::IntArrayRef sizes) { return at::randn(sizes).to(at::kBFloat16).to(at::kFloat); }

// Rare upper bytes, the smallest and largest numbers, zeros of both signs and what is no number.
at::Tensor with_exceptions(at::Tensor weight) {
  const std::vector<float> rare = {1e-30f,
                                   -3e-20f,
                                   0.0f,
                                   -0.0f,
                                   1e30f,
                                   -2e35f,
                                   std::numeric_limits<float>::infinity(),
                                   std::numeric_limits<float>::quiet_NaN()};
  const at::Tensor flat = weight.view({-1});
  for (std::size_t i = 0; i < rare.size(); ++i)
    flat[static_cast<std::int64_t>(i * 3491) % flat.size(0)] = rare[i];
  return weight.to(at::kBFloat16).to(at::kFloat);
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         a.contiguous().view(at::kByte).equal(b.contiguous().view(at::kByte));
}

TEST(DecodeWeight, InTwelveBitsKeepsEveryBit) {
  at::manual_seed(6);
  for (const auto& [outputs, inputs] :
       {std::pair{1, 1}, std::pair{33, 7}, std::pair{64, 130}, std::pair{250, 515}}) {
    const at::Tensor weight = bf16_numbers({outputs, inputs});
    for (const DecodeFormat format : {DecodeFormat::fp32, DecodeFormat::bf16}) {
      const DecodeWeight packed = DecodeWeight::shortest(weight, format);
      EXPECT_TRUE(packed.in_twelve_bits());
      EXPECT_EQ(packed.format(), format);
      EXPECT_TRUE(same_bits(packed.unpacked(), weight)) << outputs << " x " << inputs;
    }
  }
  const at::Tensor rare = with_exceptions(bf16_numbers({250, 515}));
  const DecodeWeight packed = DecodeWeight::shortest(rare, DecodeFormat::bf16);
  EXPECT_TRUE(packed.in_twelve_bits());
  EXPECT_GT(packed.panels().exceptions.size(0), 0);
  EXPECT_TRUE(same_bits(packed.unpacked(), rare));
  EXPECT_EQ(packed.bytes(), 8 * 129 * 192);
}

TEST(DecodeWeight, StaysAsLongAsItsNumbersAsk) {
  at::manual_seed(7);
  const at::Tensor weight = at::randn({64, 128});
  EXPECT_FALSE(DecodeWeight::shortest(weight, DecodeFormat::fp32).in_twelve_bits());  // not numbers of bf16
  EXPECT_FALSE(DecodeWeight::shortest(weight, DecodeFormat::int8).in_twelve_bits());
  const at::Tensor wide = at::randint(0, 1 << 15, {64, 128}).to(at::kShort).view(at::kBFloat16);
  EXPECT_FALSE(DecodeWeight::shortest(wide, DecodeFormat::bf16).in_twelve_bits());  // of every size
  EXPECT_TRUE(DecodeWeight::shortest(weight, DecodeFormat::fp32).unpacked().equal(weight));
}

TEST(DecodeWeight, RefusesPanelsWhosePlacesAreNotTheirs) {
  at::manual_seed(8);
  const DecodePanels sound =
      DecodeWeight::shortest(with_exceptions(bf16_numbers({64, 515})), DecodeFormat::bf16).panels();
  const auto fits = [](const DecodePanels& panels) {
    return are_panels_of(panels, 64, 515, DecodeFormat::bf16);
  };
  EXPECT_TRUE(fits(sound));
  EXPECT_FALSE(are_panels_of(sound, 64, 515, DecodeFormat::int8));
  EXPECT_FALSE(are_panels_of(sound, 64, 600, DecodeFormat::bf16));
  EXPECT_FALSE(are_panels_of(sound, 128, 515, DecodeFormat::bf16));
  const auto changed = [&](at::Tensor DecodePanels::*part, std::initializer_list<std::int64_t> place,
                           int value) {
    DecodePanels panels = sound;
    panels.*part = (sound.*part).clone();
    at::Tensor at = panels.*part;
    for (const std::int64_t i : place) at = at[i];
    at.fill_(value);
    return panels;
  };
  EXPECT_FALSE(fits(changed(&DecodePanels::starts, {0}, 1)));
  EXPECT_FALSE(fits(changed(&DecodePanels::starts, {1}, -1)));
  EXPECT_FALSE(fits(changed(&DecodePanels::starts, {2}, 1 << 30)));
  EXPECT_FALSE(fits(changed(&DecodePanels::exceptions, {0, 0}, -1)));
  EXPECT_FALSE(fits(changed(&DecodePanels::exceptions, {0, 0}, 1 << 30)));
  DecodePanels missing = sound;
  missing.exceptions = at::Tensor();
  EXPECT_FALSE(fits(missing));
  EXPECT_THROW(DecodeWeight(missing, 64, 515, DecodeFormat::bf16), Error);
}

TEST(DecodeLinear, InTwelveBitsIsTheSameBitForBit) {
  at::manual_seed(9);
  for (const auto& [outputs, inputs] :
       {std::pair{1, 1}, std::pair{33, 7}, std::pair{64, 130}, std::pair{250, 515}}) {
    const at::Tensor weight = with_exceptions(bf16_numbers({outputs, inputs})).nan_to_num(3.0, 2.0);
    for (const DecodeFormat format : {DecodeFormat::fp32, DecodeFormat::bf16}) {
      const DecodeWeight plain(weight, format);
      const DecodeWeight packed = DecodeWeight::shortest(weight, format);
      for (const int rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 40})
        for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
          const at::Tensor x = at::randn({rows, inputs}).to(type);
          EXPECT_TRUE(same_bits(decode_linear(x, packed, {}), decode_linear(x, plain, {})))
              << outputs << " x " << inputs << ", " << rows << " rows";
        }
    }
  }
}

TEST(DecodeLinearKernels, TwelveBitsAreTheSameBitForBitInEveryInstructionSet) {
  at::manual_seed(11);
  const std::int64_t outputs = 96, inputs = 203;
  const at::Tensor weight = with_exceptions(bf16_numbers({outputs, inputs})).nan_to_num(3.0, 2.0);
  const auto products = [&](InstructionSet level, const DecodeWeight& packed, const at::Tensor& x) {
    at::Tensor y = at::zeros({x.size(0), outputs});
    DecodeLinearCall call = call_of(packed);
    call.rows = x.size(0);
    at::Tensor lanes = at::zeros({call.rows, call.steps});
    call.x = x.const_data_ptr();
    call.lanes = lanes.mutable_data_ptr<float>();
    call.y = y.mutable_data_ptr();
    decode_linear_kernels(level).prepare(call, 0, call.rows);
    decode_linear_kernels(level).multiply(call, 0, outputs / 32);
    return y;
  };
  for (const DecodeFormat format : {DecodeFormat::fp32, DecodeFormat::bf16}) {
    const DecodeWeight plain(weight, format), packed = DecodeWeight::shortest(weight, format);
    ASSERT_TRUE(packed.in_twelve_bits());
    for (const int rows : {1, 2, 3, 9, 28}) {
      const at::Tensor x = at::randn({rows, inputs});
      for (const InstructionSet level : levels())
        EXPECT_TRUE(same_bits(products(level, packed, x), products(level, plain, x)))
            << static_cast<int>(level) << ", " << rows << " rows";
    }
  }
}

TEST(DecodeLinearKernels, EveryInstructionSetExpandsAlike) {
  at::manual_seed(10);
  const at::Tensor weight = with_exceptions(bf16_numbers({96, 203}));
  const DecodeWeight short_weight = DecodeWeight::shortest(weight, DecodeFormat::bf16);
  ASSERT_TRUE(short_weight.in_twelve_bits());
  for (const DecodeWeight& packed :
       {short_weight, DecodeWeight(weight.nan_to_num(1, 1, 1), DecodeFormat::int8),
        DecodeWeight(weight, DecodeFormat::bf16)}) {
    const DecodeLinearCall call = call_of(packed);
    const auto expanded = [&](InstructionSet level) {
      at::Tensor lanes = at::zeros({expanded_steps(call), 32}, at::kInt);
      decode_linear_kernels(level).expand(call, 1, static_cast<float*>(lanes.mutable_data_ptr()));
      return lanes;
    };
    const at::Tensor plain = expanded(InstructionSet::generic);
    for (const InstructionSet level : levels())
      EXPECT_TRUE(expanded(level).equal(plain)) << static_cast<int>(level);
  }
}

// A sampled sequence must not depend on what is sampled beside it.
TEST(DecodeLinear, OtherRowsAndThreadsDoNotChangeABit) {
  at::manual_seed(2);
  const at::Tensor weight = at::randn({700, 333});
  for (const DecodeFormat format : {DecodeFormat::fp32, DecodeFormat::bf16, DecodeFormat::int8}) {
    const DecodeWeight packed(weight, format);
    const at::Tensor x = at::randn({21, 333});
    const int before = at::get_num_threads();
    at::set_num_threads(3);
    const at::Tensor together = decode_linear(x, packed, {});
    at::set_num_threads(1);
    for (std::int64_t i = 0; i < 21; ++i)
      EXPECT_TRUE(decode_linear(x.narrow(0, i, 1), packed, {}).equal(together.narrow(0, i, 1))) << i;
    at::set_num_threads(before);
  }
}

TEST(DecodeLinear, SomeOutputsAreThoseOfAll) {
  at::manual_seed(5);
  const at::Tensor x = at::randn({3, 50}), bias = at::randn({201});
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
    for (const DecodeFormat format : {DecodeFormat::fp32, DecodeFormat::bf16, DecodeFormat::int8}) {
      const DecodeWeight packed(at::randn({201, 50}), format);
      const at::Tensor all = decode_linear(x.to(type), packed, bias);
      for (const RowRange range : {RowRange{0, 201}, RowRange{0, 5}, RowRange{37, 39}, RowRange{64, 128},
                                   RowRange{31, 200}, RowRange{200, 201}, RowRange{7, 7}})
        EXPECT_TRUE(decode_linear(x.to(type), packed, bias, range)
                        .equal(all.narrow(1, range.first, range.last - range.first)))
            << range.first << " " << range.last;
      EXPECT_THROW(decode_linear(x.to(type), packed, bias, {5, 202}), Error);
      EXPECT_THROW(decode_linear(x.to(type), packed, bias, {6, 5}), Error);
    }
}

TEST(DecodeLinear, NotFiniteInputsAreNotHidden) {
  for (const DecodeFormat format : {DecodeFormat::fp32, DecodeFormat::bf16, DecodeFormat::int8})
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      at::Tensor x = at::ones({2, 40});
      x[1][17] = bad;
      const at::Tensor y = decode_linear(x, DecodeWeight(at::ones({9, 40}), format), {});
      EXPECT_TRUE(y[0].isfinite().all().item<bool>());
      EXPECT_FALSE(y[1].isfinite().any().item<bool>());
    }
}

TEST(DecodeLinear, RowsOfZerosAndTinyRows) {
  const DecodeWeight packed(at::randn({9, 40}), DecodeFormat::int8);
  EXPECT_TRUE(decode_linear(at::zeros({1, 40}), packed, {}).equal(at::zeros({1, 9})));
  EXPECT_TRUE(decode_linear(at::full({1, 40}, 1e-38f), packed, {}).isfinite().all().item<bool>());
  EXPECT_EQ(decode_linear(at::zeros({0, 40}), packed, {}).size(0), 0);
}

TEST(DecodeLinear, SumsOfTheLargestIntegersFit) {
  const std::int64_t inputs = 8192;
  const DecodeWeight packed(at::stack({at::ones({inputs}), -at::ones({inputs})}), DecodeFormat::int8);
  for (const std::int64_t rows : {1, 2, 3}) {
    const at::Tensor x = at::ones({rows, inputs});
    x[rows - 1].neg_();
    const at::Tensor expected = x.sum(1, true) * at::tensor({1.0f, -1.0f});
    EXPECT_LT(difference(decode_linear(x, packed, {}), expected), 1e-6 * inputs) << rows;
  }
}

TEST(DecodeLinearKernels, EveryInstructionSetAgrees) {
  at::manual_seed(3);
  const std::int64_t outputs = 96, inputs = 200;
  for (const auto& [format, count] : {std::pair{DecodeFormat::fp32, 5}, std::pair{DecodeFormat::fp32, 28},
                                      std::pair{DecodeFormat::bf16, 5}, std::pair{DecodeFormat::bf16, 28},
                                      std::pair{DecodeFormat::int8, 5}, std::pair{DecodeFormat::int8, 28}}) {
    const at::Tensor x = at::randn({count, inputs});
    const std::int64_t lane = format == DecodeFormat::fp32 ? 1 : format == DecodeFormat::bf16 ? 2 : 4;
    const at::Tensor bytes = at::randint(-127, 128, {outputs / 32, inputs / lane, 32 * lane}).to(at::kChar);
    const at::Tensor panels = format == DecodeFormat::int8   ? bytes
                              : format == DecodeFormat::bf16 ? bytes.to(at::kBFloat16)
                                                             : bytes.to(at::kFloat);
    const at::Tensor scales = at::rand({outputs}) + 0.5;
    const at::Tensor sums = bytes.to(at::kInt)
                                .view({outputs / 32, inputs / lane, 32, lane})
                                .sum({1, 3}, false, at::kInt)
                                .flatten()
                                .contiguous();
    const auto run = [&](InstructionSet level) {
      at::Tensor y = at::zeros({count, outputs}), lanes = at::zeros({2 * count, inputs}),
                 row_scales = at::zeros({count});
      DecodeLinearCall rows;
      rows.format = format;
      rows.rows = count;
      rows.inputs = inputs;
      rows.last_output = outputs;
      rows.steps = inputs / lane;
      rows.x = x.const_data_ptr();
      rows.lanes = lanes.mutable_data_ptr<float>();
      rows.row_scales = row_scales.mutable_data_ptr<float>();
      rows.panels = static_cast<const float*>(panels.const_data_ptr());
      rows.scales = scales.const_data_ptr<float>();
      rows.sums = sums.const_data_ptr<std::int32_t>();
      rows.y = y.mutable_data_ptr();
      decode_linear_kernels(level).prepare(rows, 0, rows.rows);
      decode_linear_kernels(level).multiply(rows, 0, outputs / 32);
      return y;
    };
    const at::Tensor plain = run(InstructionSet::generic);
    for (const InstructionSet level : levels()) {
      const at::Tensor y = run(level);
      // Integer sums have no rounding to differ in.
      if (format == DecodeFormat::int8) EXPECT_TRUE(y.equal(plain)) << static_cast<int>(level);
      EXPECT_LT(difference(y, plain), 1e-5) << static_cast<int>(level);
    }
  }
}

}  // namespace
}  // namespace omni::kernels
