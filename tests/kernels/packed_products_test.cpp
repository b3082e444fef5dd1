#include "omni/kernels/packed_products.h"

#include <gtest/gtest.h>

#include <vector>

#include "cpu/tile_products.h"
#include "decode_linear_call.h"
#include "gradient_check.h"
#include "omni/core/error.h"
#include "omni/kernels/matrix_tiles.h"

namespace omni::kernels {
namespace {

at::Tensor bf16_numbers(at::IntArrayRef sizes) { return at::randn(sizes).to(at::kBFloat16).to(at::kFloat); }

void expect_double_precision(const DecodeWeight& packed, int rows, at::ScalarType type) {
  const at::Tensor x = at::randn({rows, packed.inputs()}).to(type), bias = at::randn({packed.outputs()});
  const at::Tensor kept = packed.format() == DecodeFormat::bf16 ? x.to(at::kBFloat16) : x;
  const at::Tensor truth =
      at::mm(kept.to(at::kDouble), packed.unpacked().to(at::kDouble).t()) + bias.to(at::kDouble);
  const at::Tensor found = packed_products(x, packed, bias);
  EXPECT_EQ(found.scalar_type(), type);
  const double tolerance = type == at::kBFloat16 ? 4e-3 : packed.format() == DecodeFormat::int8 ? 1e-4 : 1e-5;
  EXPECT_LT(difference(found, truth), tolerance) << packed.outputs() << " x " << packed.inputs();
  EXPECT_LT(difference(found, decode_linear(x, packed, bias)), 2 * tolerance);
}

TEST(PackedProducts, MatchDoublePrecision) {
  at::manual_seed(3);
  for (const auto& [outputs, inputs] :
       {std::pair{1, 1}, std::pair{33, 7}, std::pair{64, 130}, std::pair{250, 515}, std::pair{600, 32}})
    for (const DecodeFormat format : {DecodeFormat::fp32, DecodeFormat::bf16, DecodeFormat::int8})
      for (const bool in_twelve_bits : {false, true}) {
        const at::Tensor weight = bf16_numbers({outputs, inputs});
        const DecodeWeight packed =
            in_twelve_bits ? DecodeWeight::shortest(weight, format) : DecodeWeight(weight, format);
        for (const int rows : {1, 31, 32, 70})
          for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
            expect_double_precision(packed, rows, type);
      }
}

// Sums differ in their last bits alone between the processor's tiles and the same spelt out, and a row's from nothing.
TEST(PackedProducts, AreTheSameSpeltOut) {
  if (!has_matrix_tiles()) GTEST_SKIP() << "this processor has no tiles of bf16";
  at::manual_seed(4);
  for (const int pieces : {1, 2, 3}) {
    const DecodeWeight packed(at::randn({100, 200}), DecodeFormat::bf16);
    const at::Tensor x = at::randn({75, 200});
    const auto products = [&](bool on_tiles, std::int64_t rows) {
      at::Tensor y = at::zeros({rows, 100});
      TileProducts call;
      call.weight = call_of(packed);
      call.weight.rows = rows;
      call.weight.x = x.const_data_ptr();
      call.weight.y = y.mutable_data_ptr();
      call.pieces = pieces;
      std::vector<std::uint16_t> tiles(static_cast<std::size_t>(call.groups() * call.group_words()));
      call.tiles = tiles.data();
      const TileProductKernels kernels = tile_product_kernels(on_tiles);
      kernels.lay(call, 0, call.groups());
      kernels.multiply(call, 0, 1);
      kernels.multiply(call, 1, 4);
      return y;
    };
    EXPECT_LT(difference(products(true, 75), products(false, 75)), 2e-6) << pieces;
    EXPECT_TRUE(products(true, 75).narrow(0, 0, 33).equal(products(true, 33))) << pieces;
  }
}

// The matrix library keeps sizes of tiles of its own.
TEST(PackedProducts, LeaveTheLibrarysTilesAlone) {
  at::manual_seed(5);
  const at::Tensor a = at::randn({40, 96}).to(at::kBFloat16), b = at::randn({96, 48}).to(at::kBFloat16);
  const at::Tensor before = at::mm(a, b);
  const DecodeWeight packed(at::randn({100, 200}), DecodeFormat::bf16);
  for (int i = 0; i < 3; ++i) {
    packed_products(at::randn({70, 200}), packed, {});
    EXPECT_TRUE(at::mm(a, b).equal(before));
  }
}

TEST(PackedProducts, RefuseRowsOfAnotherWidth) {
  const DecodeWeight packed(at::ones({4, 5}), DecodeFormat::bf16);
  EXPECT_THROW(packed_products(at::zeros({1, 4}), packed, {}), Error);
  EXPECT_THROW(packed_products(at::zeros({1, 4}), DecodeWeight(), {}), Error);
}

TEST(PackedProducts, AreForManyRows) { EXPECT_GE(rows_for_products(), 64); }

}  // namespace
}  // namespace omni::kernels
