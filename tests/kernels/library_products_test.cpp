#include "library_products.h"

#include <gtest/gtest.h>

namespace omni::kernels {
namespace {

using at::Tensor;

// A sum of fp32 rounded once to the type: within half a unit of bf16's last place of the product in double precision.
void expect_rounded_once(const Tensor& found, const Tensor& truth) {
  const double unit = found.scalar_type() == at::kBFloat16 ? 1.0 / 256 : 1e-6;
  const Tensor error = (found.to(at::kDouble) - truth).abs();
  EXPECT_TRUE((error <= 1e-4 + unit * truth.abs()).all().item<bool>()) << error.max().item<double>();
}

TEST(LibraryProducts, OfBf16AreThoseOfFp32RoundedOnce) {
  at::manual_seed(1);
  // The last three take several pieces along columns, rows and both.
  const std::int64_t sizes[][3] = {{5, 33, 7}, {0, 8, 3}, {3, 8192, 1100}, {70'000, 64, 3}, {700, 700, 700}};
  for (const auto& [rows, depth, columns] : sizes)
    for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
      const Tensor left = at::randn({rows, depth}).to(at::kBFloat16) / 16;
      const Tensor right = (at::randn({columns, depth}).to(at::kBFloat16) / 16).t();
      const Tensor truth = at::mm(left.to(at::kDouble), right.to(at::kDouble));
      Tensor wider = at::full({rows, columns + 2}, 7).to(type), out = wider.narrow(1, 1, columns);
      put_widened_product(out, left, right, false);
      expect_rounded_once(out, truth);
      out.fill_(2);
      put_widened_product(out, left, right, true);
      expect_rounded_once(out, truth + 2);
      EXPECT_TRUE(wider.narrow(1, 0, 1).eq(7).all().item<bool>() &&
                  wider.narrow(1, columns + 1, 1).eq(7).all().item<bool>());
    }
}

TEST(LibraryProducts, GiveTheirOwnTypes) {
  at::manual_seed(1);
  for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
    const Tensor left = at::randn({9, 40}).to(type), right = at::randn({40, 11}).to(type);
    const Tensor truth = at::mm(left.to(at::kDouble), right.to(at::kDouble));
    const Tensor both = product(left, right), wide = wide_product(left, right);
    EXPECT_EQ(both.scalar_type(), type);
    EXPECT_EQ(wide.scalar_type(), at::kFloat);
    const Tensor out = at::empty_like(both);
    put_product(out, left, right);
    EXPECT_TRUE(out.equal(both));
    add_product(out, left, right);
    for (const auto& [found, wanted] : {std::pair(both, truth), {wide, truth}, {out, truth * 2}})
      EXPECT_TRUE(((found.to(at::kDouble) - wanted).abs() <= 1e-4 + wanted.abs() / 64).all().item<bool>());
  }
}

}  // namespace
}  // namespace omni::kernels
