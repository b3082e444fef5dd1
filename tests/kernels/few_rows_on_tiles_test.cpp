#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "decode_linear_call.h"
#include "gradient_check.h"
#include "instruction_sets.h"
#include "omni/kernels/matrix_tiles.h"
#include "omni/kernels/packed_products.h"

namespace omni::kernels {
namespace {

at::Tensor bf16_numbers(at::IntArrayRef sizes) { return at::randn(sizes).to(at::kBFloat16).to(at::kFloat); }

// Of every kind that goes on tiles; the first two list some numbers apart.
std::vector<DecodeWeight> weights(std::int64_t outputs, std::int64_t inputs) {
  at::Tensor rare = bf16_numbers({outputs, inputs});
  for (int i = 0; i < 40; ++i) rare[i % outputs][i * 7 % inputs] = i % 2 == 0 ? 32768.0f : -0x1p-100f;
  std::vector<DecodeWeight> made;
  for (const DecodeFormat format : {DecodeFormat::fp32, DecodeFormat::bf16})
    made.push_back(DecodeWeight::shortest(rare, format));
  made.push_back(DecodeWeight::shortest(bf16_numbers({outputs, inputs}), DecodeFormat::fp32));
  made.push_back(DecodeWeight::shortest(bf16_numbers({outputs, inputs}), DecodeFormat::bf16));
  made.emplace_back(at::randn({outputs, inputs}), DecodeFormat::bf16);
  made.emplace_back(at::randn({outputs, inputs}), DecodeFormat::int8);
  return made;
}

at::Tensor products(InstructionSet level, const DecodeWeight& weight, const at::Tensor& x, bool on_tiles) {
  at::Tensor y = at::zeros({x.size(0), weight.outputs()}, x.options());
  DecodeLinearCall call = call_of(weight);
  call.rows = x.size(0);
  call.bf16 = x.scalar_type() == at::kBFloat16;
  if (on_tiles) {
    call.tile_lanes = tile_lanes_of(call);
    call.pieces = tile_pieces_of(call);
    EXPECT_GT(call.tile_lanes, 0);
  }
  at::Tensor lanes = at::full({4 * call.rows * std::max(call.steps, call.tile_lanes)}, 7.0f),
             row_scales = at::zeros({call.rows});
  call.x = x.const_data_ptr();
  call.lanes = lanes.mutable_data_ptr<float>();
  call.row_scales = row_scales.mutable_data_ptr<float>();
  call.y = y.mutable_data_ptr();
  decode_linear_kernels(level).prepare(call, 0, call.rows);
  decode_linear_kernels(level).multiply(call, 0, 1);
  decode_linear_kernels(level).multiply(call, 1, (weight.outputs() + 31) / 32);
  return y;
}

// Where there are none, the same spelt out is what is tested.
std::vector<InstructionSet> levels_on_tiles() {
  std::vector<InstructionSet> all = levels();
  if (all.back() == InstructionSet::avx512_bf16 && !has_matrix_tiles()) all.pop_back();
  return all;
}

TEST(FewRowsOnTiles, AreTheProductsWithoutTiles) {
  at::manual_seed(1);
  for (const DecodeWeight& weight : weights(75, 192))
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
      for (const int rows : {1, 2, 7, 16, 17, 40}) {
        const at::Tensor x = at::randn({rows, 192}).to(type);
        const at::Tensor kept = weight.format() == DecodeFormat::bf16 ? x.to(at::kBFloat16) : x;
        const at::Tensor truth = at::mm(kept.to(at::kDouble), weight.unpacked().to(at::kDouble).t());
        for (const InstructionSet level : levels_on_tiles()) {
          const at::Tensor found = products(level, weight, x, true);
          // Sums of whole numbers have no rounding to differ in.
          if (weight.format() == DecodeFormat::int8)
            EXPECT_TRUE(found.equal(products(level, weight, x, false)))
                << static_cast<int>(level) << ", " << rows;
          else
            EXPECT_LT(difference(found, truth), type == at::kBFloat16 ? 4e-3 : 1e-5)
                << static_cast<int>(level) << ", " << rows << " rows";
        }
      }
}

// A sampled sequence must not depend on what is sampled beside it.
TEST(FewRowsOnTiles, OtherRowsAndThreadsDoNotChangeABit) {
  at::manual_seed(2);
  const int before = at::get_num_threads();
  for (const DecodeWeight& weight : weights(700, 128)) {
    const at::Tensor x = at::randn({21, 128});
    at::set_num_threads(3);
    const at::Tensor together = decode_linear(x, weight, {});
    at::set_num_threads(1);
    for (std::int64_t i = 0; i < 21; ++i)
      EXPECT_TRUE(decode_linear(x.narrow(0, i, 1), weight, {}).equal(together.narrow(0, i, 1))) << i;
    EXPECT_TRUE(decode_linear(x, weight, {}, {37, 300}).equal(together.narrow(1, 37, 300 - 37)));
  }
  at::set_num_threads(before);
}

// Nor on whether they were shown one by one or as a long prompt.
TEST(FewRowsOnTiles, AreThePackedProductsBitForBit) {
  if (!has_matrix_tiles()) GTEST_SKIP() << "this processor has no tiles";
  at::manual_seed(4);
  for (const DecodeWeight& weight : weights(75, 192)) {
    if (weight.format() == DecodeFormat::int8) continue;  // inputs are rounded otherwise there
    const at::Tensor x = at::randn({40, 192});
    EXPECT_TRUE(decode_linear(x, weight, {}).equal(packed_products(x, weight, {})));
  }
}

TEST(FewRowsOnTiles, NotFiniteInputsAreNotHidden) {
  at::manual_seed(3);
  for (const DecodeWeight& weight : weights(40, 64))
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      at::Tensor x = at::ones({2, 64});
      x[1][17] = bad;
      const at::Tensor y = decode_linear(x, weight, {});
      EXPECT_TRUE(y[0].isfinite().all().item<bool>());
      EXPECT_FALSE(y[1].isfinite().any().item<bool>());
    }
}

TEST(FewRowsOnTiles, AreForWeightsThatDivideIntoThem) {
  const auto lanes = [](const DecodeWeight& weight) { return tile_lanes_of(call_of(weight)); };
  EXPECT_EQ(lanes(DecodeWeight(at::ones({3, 96}), DecodeFormat::bf16)), 48);
  EXPECT_EQ(lanes(DecodeWeight(at::ones({3, 97}), DecodeFormat::bf16)), 0);
  EXPECT_EQ(lanes(DecodeWeight(at::ones({3, 128}), DecodeFormat::int8)), 32);
  EXPECT_EQ(lanes(DecodeWeight(at::ones({3, 96}), DecodeFormat::int8)), 0);
  EXPECT_EQ(lanes(DecodeWeight(at::randn({3, 96}), DecodeFormat::fp32)), 0);  // not of bf16
}

}  // namespace
}  // namespace omni::kernels
