#include "omni/core/text_format.h"

#include <gtest/gtest.h>

#include <limits>

namespace omni {
namespace {

TEST(Hexadecimal, HasSixteenDigits) {
  EXPECT_EQ(hexadecimal(0), "0000000000000000");
  EXPECT_EQ(hexadecimal(0xBEEF), "000000000000beef");
  EXPECT_EQ(hexadecimal(std::numeric_limits<std::uint64_t>::max()), "ffffffffffffffff");
}

TEST(Hexadecimal, IsReadBackAndNothingElse) {
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{0xBEEF}, ~std::uint64_t{0}})
    EXPECT_EQ(parse_hexadecimal(hexadecimal(value)), value);
  for (const char* other : {"", "beef", "000000000000BEEF", "00000000000000000", "000000000000bee ",
                            "-00000000000beef", "0x0000000000beef"})
    EXPECT_EQ(parse_hexadecimal(other), std::nullopt) << other;
}

TEST(WithDecimals, RoundsAndKeepsLargeNumbersWhole) {
  EXPECT_EQ(with_decimals(2.0 / 3, 2), "0.67");
  EXPECT_EQ(with_decimals(-1.5, 0), "-2");
  EXPECT_EQ(with_decimals(1e100, 1).size(), 103u);
}

}  // namespace
}  // namespace omni
