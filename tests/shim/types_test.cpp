// Conversions and matrix fragments against what their formats say.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "device.h"
#include "ptx.h"

namespace omni::shim {
namespace {

// The nearest of all 65536 values of a 16-bit format, ties to the even bit pattern, by search.
template <float (*value_of)(std::uint16_t)>
std::uint16_t nearest(float x, float overflow) {
  const auto sign = static_cast<std::uint16_t>(std::signbit(x) ? 0x8000 : 0);
  const double size = std::fabs(static_cast<double>(x));
  std::uint16_t low = 0, high = 1;
  while (value_of(high) < size && std::isfinite(value_of(high))) ++high;
  low = static_cast<std::uint16_t>(high - 1);
  if (size == 0) return sign;
  const double above = std::isfinite(value_of(high)) ? value_of(high) : overflow;
  const double to_low = size - value_of(low), to_high = above - size;
  const bool take_high = to_high < to_low || (to_high == to_low && high % 2 == 0);
  return sign | (take_high ? high : low);
}

TEST(ShimTypes, SixteenBitFloatsRoundToTheNearestEven) {
  std::mt19937 random(1);
  std::vector<float> samples = {0.0f,     -0.0f, 1.0f,          65504.0f,     65519.9f,
                                65520.0f, 1e-8f, 5.9604645e-8f, 2.9802322e-8f};
  for (int i = 0; i < 300; ++i) {
    const float scale = std::ldexp(1.0f, static_cast<int>(random() % 34) - 17);
    samples.push_back(std::uniform_real_distribution<float>(-scale, scale)(random));
    // Halfway between two neighbours.
    const auto bits = static_cast<std::uint16_t>(random() % 0x7b00);
    samples.push_back((half_value(bits) + half_value(bits + 1)) / 2);
    samples.push_back(
        std::bit_cast<float>(static_cast<std::uint32_t>((random() % 0x47000000u & 0xffff0000u) | 0x8000u)));
  }
  for (const float x : samples) {
    EXPECT_EQ(half_bits(x), nearest<half_value>(x, 65536.0f)) << x;
    EXPECT_EQ(bfloat16_bits(x), nearest<bfloat16_value>(x, INFINITY)) << x;
  }
  EXPECT_TRUE(std::isnan(half_value(half_bits(NAN))));
  EXPECT_TRUE(std::isnan(bfloat16_value(bfloat16_bits(NAN))));
  EXPECT_EQ(half_value(half_bits(-INFINITY)), -INFINITY);
  EXPECT_EQ(bfloat16_value(bfloat16_bits(INFINITY)), INFINITY);
}

TEST(ShimTypes, HalfValuesAreThoseOfTheFormat) {
  EXPECT_EQ(half_value(0x3c00), 1.0f);
  EXPECT_EQ(half_value(0x3555), 0.333251953125f);
  EXPECT_EQ(half_value(0x0001), std::ldexp(1.0f, -24));
  EXPECT_EQ(half_value(0x7bff), 65504.0f);
  for (unsigned bits = 0; bits < 0x7c00; ++bits) EXPECT_EQ(half_bits(half_value(bits)), bits);
}

// C = A B for row-major A [16, 16], B [16, 8], loaded as a kernel does: A as it lies, B through the
// transpose.
template <class T>
void multiply(const T* a, const T* b, float* c) {
  OMNI_SHARED(T, shared);
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < 256; i += 32) shared[i] = a[i];
  for (int i = lane; i < 128; i += 32) shared[256 + i] = b[i];
  __syncwarp();
  unsigned left[4], right[2];
  cuda::load_matrix_x4(left, shared + lane % 16 * 16 + lane / 16 * 8);
  cuda::load_matrix_x2_transposed(right, shared + 256 + lane % 16 * 8);
  float sums[4] = {1, 1, 1, 1};
  cuda::multiply_accumulate<T>(sums, left, right);
  for (int r = 0; r < 4; ++r) c[(lane / 4 + r / 2 * 8) * 8 + lane % 4 * 2 + r % 2] = sums[r];
}

template <class T>
void check_multiply() {
  std::mt19937 random(2);
  std::vector<T> a(256), b(128);
  for (T& x : a) x = static_cast<float>(static_cast<int>(random() % 17) - 8);
  for (T& x : b) x = static_cast<float>(static_cast<int>(random() % 17) - 8);
  std::vector<float> c(128);
  ASSERT_EQ(
      OMNI_LAUNCH(multiply<T>, dim3(1), dim3(32), 384 * sizeof(T), nullptr, a.data(), b.data(), c.data()), 0);
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      float expected = 1;
      for (int k = 0; k < 16; ++k)
        expected += static_cast<float>(a[row * 16 + k]) * static_cast<float>(b[k * 8 + column]);
      EXPECT_EQ(c[row * 8 + column], expected) << row << ", " << column;
    }
}

TEST(ShimTypes, MatrixFragmentsMultiply) {
  check_multiply<__nv_bfloat16>();
  check_multiply<__half>();
}

void load_untransposed(const std::uint16_t* matrices, unsigned* out) {
  OMNI_SHARED(std::uint16_t, shared);
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < 256; i += 32) shared[i] = matrices[i];
  __syncwarp();
  unsigned four[4], two[2];
  cuda::load_matrix_x4(four, shared + lane * 8);
  cuda::load_matrix_x2(two, shared + lane % 16 * 8);
  for (int m = 0; m < 4; ++m) out[lane * 6 + m] = four[m];
  for (int m = 0; m < 2; ++m) out[lane * 6 + 4 + m] = two[m];
}

TEST(ShimTypes, LoadMatrixGivesEachLaneTwoNeighbours) {
  std::vector<std::uint16_t> matrices(256);
  for (int i = 0; i < 256; ++i) matrices[i] = static_cast<std::uint16_t>(i * 7);
  std::vector<unsigned> out(32 * 6);
  ASSERT_EQ(OMNI_LAUNCH(load_untransposed, dim3(1), dim3(32), 512, nullptr, matrices.data(), out.data()), 0);
  for (int lane = 0; lane < 32; ++lane)
    for (int m = 0; m < 6; ++m) {
      const unsigned first = m % 4 * 64 + lane / 4 * 8 + lane % 4 * 2;
      EXPECT_EQ(out[lane * 6 + m], first * 7 | (first + 1) * 7 << 16) << lane << ", " << m;
    }
}

}  // namespace
}  // namespace omni::shim
