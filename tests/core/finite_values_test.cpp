#include "omni/core/finite_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "omni/core/error.h"

namespace omni {
namespace {

// Elements that are given by their bits.
template <class Bits>
TensorView view_of(const std::vector<Bits>& bits, DType type) {
  return {type, {static_cast<std::int64_t>(bits.size())}, std::as_bytes(std::span(bits))};
}

// Every number of 16 bits, beside its value.
TEST(FiniteValues, AreToldInHalfPrecisionForEveryPattern) {
  for (std::uint32_t pattern = 0; pattern <= 0xffff; ++pattern) {
    const std::vector<std::uint16_t> one = {static_cast<std::uint16_t>(pattern)};
    const bool brain_finite = std::isfinite(std::bit_cast<float>(pattern << 16));
    ASSERT_EQ(!first_not_finite(view_of(one, DType::bf16)), brain_finite) << pattern;
    const bool half_finite = (pattern >> 10 & 31) != 31;
    ASSERT_EQ(!first_not_finite(view_of(one, DType::f16)), half_finite) << pattern;
    ASSERT_FALSE(first_not_finite(view_of(one, DType::i16)));
  }
}

template <class Real>
void expect_found_at_every_place(DType type) {
  using Limits = std::numeric_limits<Real>;
  std::vector<Real> values = {0, -0.0f, Limits::max(), Limits::lowest(), Limits::min(), Limits::denorm_min(),
                              1};
  for (int i = 0; i < 9000; ++i) values.push_back(static_cast<Real>(i - 4500));
  const TensorView view{type, {static_cast<std::int64_t>(values.size())}, std::as_bytes(std::span(values))};
  EXPECT_FALSE(first_not_finite(view));
  for (const std::size_t place :
       {std::size_t{0}, std::size_t{6}, std::size_t{4095}, std::size_t{4096}, values.size() - 1})
    for (const Real wrong : {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()}) {
      const Real before = values[place];
      values[place] = wrong;
      EXPECT_EQ(first_not_finite(view), static_cast<std::int64_t>(place));
      values[place] = before;
    }
}

TEST(FiniteValues, AreToldInFloatAndDouble) {
  expect_found_at_every_place<float>(DType::f32);
  expect_found_at_every_place<double>(DType::f64);
}

// More elements than one core is given at a time.
TEST(FiniteValues, TheFirstOneIsNamedWhicheverCoreFindsOne) {
  std::vector<std::uint16_t> values(std::size_t{9} << 20);
  for (const std::size_t place :
       {std::size_t{9} << 19, (std::size_t{4} << 20) + 1, (std::size_t{1} << 20) + 5}) {
    values.back() = 0x7c00;
    values[place] = 0xfc01;
    EXPECT_EQ(first_not_finite(view_of(values, DType::f16)), static_cast<std::int64_t>(place));
  }
}

TEST(FiniteValues, BytesMayLieAnywhere) {
  const float values[] = {1, 2, std::numeric_limits<float>::infinity(), 4};
  std::vector<std::byte> bytes(sizeof values + 1);
  std::memcpy(bytes.data() + 1, values, sizeof values);
  EXPECT_EQ(first_not_finite({DType::f32, {4}, std::span(bytes).subspan(1)}), 2);
  EXPECT_FALSE(first_not_finite({DType::f32, {2}, std::span(bytes).subspan(1, 8)}));
  EXPECT_FALSE(first_not_finite({DType::f32, {0}, {}}));
}

TEST(FiniteValues, WhatIsWrongIsNamed) {
  const auto message = [](float wrong) -> std::string {
    const std::vector<float> values = {0, 1, 2, wrong, 4, 5};
    try {
      require_finite(tensor_view(values, {2, 3}), "c_head.weight", "x.safetensors");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(3), "");
  EXPECT_THAT(
      message(std::numeric_limits<float>::quiet_NaN()),
      testing::HasSubstr("'x.safetensors': element 3 of the tensor 'c_head.weight' of shape [2, 3] is nan"));
  EXPECT_THAT(message(-std::numeric_limits<float>::infinity()), testing::HasSubstr("is -inf"));
  EXPECT_THAT(message(std::numeric_limits<float>::infinity()), testing::HasSubstr("is inf"));
}

}  // namespace
}  // namespace omni
