#include "omni/kernels/packed_products.h"

#include <gtest/gtest.h>

#include "gradient_check.h"
#include "omni/core/error.h"

namespace omni::kernels {
namespace {

TEST(PackedProducts, MatchDoublePrecisionWithinBf16) {
  at::manual_seed(3);
  for (const auto& [outputs, inputs] :
       {std::pair{1, 1}, std::pair{33, 7}, std::pair{64, 130}, std::pair{250, 515}})
    for (const DecodeFormat format : {DecodeFormat::fp32, DecodeFormat::bf16, DecodeFormat::int8})
      for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
        const DecodeWeight packed(at::randn({outputs, inputs}), format);
        const at::Tensor x = at::randn({70, inputs}).to(type), bias = at::randn({outputs});
        const at::Tensor truth = at::mm(x.to(at::kBFloat16).to(at::kDouble),
                                        packed.unpacked().to(at::kBFloat16).to(at::kDouble).t()) +
                                 bias.to(type).to(at::kDouble);
        const at::Tensor found = packed_products(x, packed, bias);
        EXPECT_EQ(found.scalar_type(), type);
        EXPECT_LT(difference(found, truth), 8e-3) << outputs << " x " << inputs;
        EXPECT_TRUE(packed_products(x, packed, {}).add(bias.to(type)).equal(found));
      }
}

TEST(PackedProducts, RefuseRowsOfAnotherWidth) {
  const DecodeWeight packed(at::ones({4, 5}), DecodeFormat::bf16);
  EXPECT_THROW(packed_products(at::zeros({1, 4}), packed, {}), Error);
  EXPECT_THROW(packed_products(at::zeros({1, 4}), DecodeWeight(), {}), Error);
}

// Where exact results are asked for they are kept for any number of rows.
TEST(PackedProducts, AreForBf16Alone) {
  constexpr std::int64_t kAnyRows = 1'000'000'000;
  EXPECT_GT(rows_for_products(DecodeFormat::fp32), kAnyRows);
  EXPECT_GT(rows_for_products(DecodeFormat::int8), kAnyRows);
  EXPECT_GE(rows_for_products(DecodeFormat::bf16), 128);
}

}  // namespace
}  // namespace omni::kernels
