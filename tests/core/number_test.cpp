#include "omni/core/number.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace omni {
namespace {

// What read_number says, having checked that it then leaves the value alone.
template <class Number>
std::string mistake(std::string_view text, NumberRange range = {}) {
  Number value = 7;
  const std::string said = read_number(text, range, value);
  EXPECT_EQ(value, Number{7}) << text;
  EXPECT_NE(said, "") << text;
  return said;
}

template <class Number>
Number reading(std::string_view text, NumberRange range = {}) {
  Number value = 7;
  EXPECT_EQ(read_number(text, range, value), "") << text;
  return value;
}

TEST(ReadNumber, ReadsTheWholeText) {
  EXPECT_EQ(reading<int>("-12"), -12);
  EXPECT_EQ(reading<std::int64_t>("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(reading<std::uint64_t>("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(reading<double>("-1e-3"), -1e-3);
  EXPECT_EQ(reading<float>("0.5", {0, 1}), 0.5F);
  for (const char* text : {"", " 1", "1 ", "1.5", "1e3", "0x10", "nan", "one", "--1"})
    EXPECT_EQ(mistake<int>(text), std::string("must be a whole number, not '") + text + "'");
  for (const char* text : {"", " 1", "1x", "nan", "-nan", "inf", "-infinity", ","})
    EXPECT_EQ(mistake<double>(text), std::string("must be a number, not '") + text + "'");
}

TEST(ReadNumber, SaysTheRange) {
  EXPECT_EQ(mistake<int>("0", {1, 64}), "is 0; it must be from 1 to 64");
  EXPECT_EQ(mistake<std::uint64_t>("-1", {.minimum = 0}), "is -1; it must be at least 0");
  EXPECT_EQ(mistake<float>("1.5", {.maximum = 1}), "is 1.5; it must be at most 1");
  EXPECT_EQ(mistake<int>("99999999999999999999", {1, 1 << 20}),
            "is 99999999999999999999; it must be from 1 to 1,048,576");
  EXPECT_EQ(reading<double>("1", {0, 1}), 1);
}

TEST(ReadNumber, RefusesWhatCannotBeHeld) {
  const std::string beyond = ", which is beyond what omni computes with";
  EXPECT_EQ(mistake<int>("2147483648"), "is 2147483648" + beyond);
  EXPECT_EQ(mistake<std::uint64_t>("-1"), "is -1" + beyond);
  EXPECT_EQ(mistake<std::int64_t>("9223372036854775808"), "is 9223372036854775808" + beyond);
  EXPECT_EQ(mistake<std::uint64_t>("99999999999999999999", {.minimum = 0}),
            "is 99999999999999999999" + beyond);
  EXPECT_EQ(mistake<double>("1e308", {.minimum = 0}), "is 1e308" + beyond);
  EXPECT_EQ(mistake<float>("-1e39"), "is -1e39" + beyond);
}

TEST(RangeText, UsesWordsAndWholeDigits) {
  EXPECT_EQ(range_text({}), "");
  EXPECT_EQ(range_text({.minimum = 0}), "at least 0");
  EXPECT_EQ(range_text({.maximum = 0.5}), "at most 0.5");
  EXPECT_EQ(range_text({-100000, 9999}), "from -100,000 to 9999");
  EXPECT_EQ(range_text({0.001, 1 << 20}), "from 0.001 to 1,048,576");
}

}  // namespace
}  // namespace omni
