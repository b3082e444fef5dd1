#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "cache_write.cuh"
#include "omni/core/random.h"
#include "shim/orders.h"

namespace omni::cuda {
namespace {

// As the format defines it.
double decoded(unsigned char byte) {
  const int exponent = byte >> 3 & 15, fraction = byte & 7;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10);
  return byte & 0x80 ? -magnitude : magnitude;
}

TEST(CacheWriteShim, Fp8IsTheNearestNumber) {
  CounterRng rng(1);
  for (int i = 0; i < 20'000; ++i) {
    const auto x =
        static_cast<float>(rng.uniform(-1, 1) * std::ldexp(448.0, -static_cast<int>(rng.below(20))));
    double nearest = INFINITY;
    for (int code = 0; code < 256; ++code)
      if ((code & 0x7f) != 0x7f)
        nearest = std::min(nearest, std::abs(decoded(static_cast<unsigned char>(code)) - x));
    const Fp8 code = encode(x, Fp8{});
    ASSERT_EQ(std::abs(decoded(code.bits) - x), nearest) << x;
    ASSERT_EQ(value_of(code), decoded(code.bits));
  }
  EXPECT_EQ(encode(1.0625f, Fp8{}).bits, encode(1.0f, Fp8{}).bits);  // halfway: to the even one
  EXPECT_EQ(encode(1.1875f, Fp8{}).bits, encode(1.25f, Fp8{}).bits);
  EXPECT_EQ(decoded(encode(-448.0f, Fp8{}).bits), -448);
  for (int code = 0; code < 256; ++code) {
    if ((code & 0x7f) == 0x7f) continue;
    const Fp8 x{static_cast<unsigned char>(code)};
    EXPECT_EQ(encode(value_of(x), Fp8{}).bits, code);
  }
}

struct Written {
  std::vector<unsigned char> keys, values;
  std::vector<float> key_scales, value_scales;
  bool operator==(const Written&) const = default;
};

// Three rows of two heads into a cache of two sequences with room for five tokens.
class Problem {
 public:
  Problem() {
    CounterRng rng(2);
    for (auto* rows : {&keys, &values})
      for (std::size_t i = 0; i < 3 * kStride; ++i) rows->emplace_back(static_cast<float>(rng.normal()));
  }
  Written run(OmniCudaCacheType type) const {
    const std::size_t tokens = 2 * kHeads * kRoom,
                      width = type == kOmniCudaCacheLikeQuery ? 2 * kWidth : kWidth;
    Written out{std::vector<unsigned char>(tokens * width, 0xee), {}, std::vector<float>(tokens, -1), {}};
    out.values = out.keys;
    out.value_scales = out.key_scales;
    OmniCudaCacheWrite a{};
    a.new_keys = keys.data();
    a.new_values = values.data();
    a.keys = out.keys.data();
    a.values = out.values.data();
    a.key_scales = out.key_scales.data();
    a.value_scales = out.value_scales.data();
    a.rows = rows.data();
    a.row_stride = kStride;
    a.room = kRoom;
    a.row_count = 3;
    a.key_value_heads = kHeads;
    a.head_size = kWidth;
    a.type = kOmniCudaBfloat16;
    a.cache_type = type;
    EXPECT_EQ(omni_cuda_cache_write(&a, nullptr), 0);
    return out;
  }
  static std::size_t token(const OmniCudaDecodeRow& row, int head) {
    return static_cast<std::size_t>((row.sequence * kHeads + head) * kRoom + row.position);
  }

  static constexpr int kHeads = 2, kWidth = 40, kRoom = 5, kStride = kHeads * kWidth + 8;
  std::vector<__nv_bfloat16> keys, values;
  std::vector<OmniCudaDecodeRow> rows = {{0, 4, 0, 1, 0, 0}, {1, 0, 1, 1, 0, 1}, {1, 1, 2, 1, 0, 1}};
};

TEST(CacheWriteShim, BytesTimesScalesAreTheRows) {
  for (const OmniCudaCacheType type : {kOmniCudaCacheInt8, kOmniCudaCacheFp8}) {
    const Problem problem;
    Written out;
    EXPECT_EQ(shim::for_every_order([&] { return problem.run(type); }, out), "");
    std::size_t touched = 0;
    for (int r = 0; r < 3; ++r)
      for (int h = 0; h < Problem::kHeads; ++h) {
        const std::size_t token = Problem::token(problem.rows[r], h);
        touched += 1;
        for (const bool value : {false, true}) {
          const auto* source =
              (value ? problem.values : problem.keys).data() + r * Problem::kStride + h * Problem::kWidth;
          const double scale = (value ? out.value_scales : out.key_scales)[token];
          double largest = 0;
          for (int d = 0; d < Problem::kWidth; ++d)
            largest = std::max<double>(largest, std::abs(float(source[d])));
          EXPECT_NEAR(scale, largest / (type == kOmniCudaCacheInt8 ? 127 : 448), 1e-6 * scale);
          for (int d = 0; d < Problem::kWidth; ++d) {
            const unsigned char byte = (value ? out.values : out.keys)[token * Problem::kWidth + d];
            const double read = type == kOmniCudaCacheInt8 ? static_cast<signed char>(byte) : decoded(byte);
            const double x = float(source[d]);
            // Half a step: of the integers, or of three bits of fraction.
            const double step = type == kOmniCudaCacheInt8 ? 0.5 * scale : std::abs(x) / 16 + scale / 1024;
            EXPECT_NEAR(read * scale, x, step * 1.001);
          }
        }
      }
    EXPECT_EQ(std::count(out.key_scales.begin(), out.key_scales.end(), -1.0f),
              static_cast<std::ptrdiff_t>(out.key_scales.size() - touched));
  }
}

TEST(CacheWriteShim, HalvesAreCopied) {
  const Problem problem;
  Written out;
  EXPECT_EQ(shim::for_every_order([&] { return problem.run(kOmniCudaCacheLikeQuery); }, out), "");
  for (int r = 0; r < 3; ++r)
    for (int h = 0; h < Problem::kHeads; ++h)
      EXPECT_EQ(std::memcmp(out.values.data() + Problem::token(problem.rows[r], h) * 2 * Problem::kWidth,
                            problem.values.data() + r * Problem::kStride + h * Problem::kWidth,
                            2 * Problem::kWidth),
                0);
}

TEST(CacheWriteShim, NotANumberIsNotHidden) {
  Problem problem;
  problem.keys[3] = NAN;
  problem.values[Problem::kStride + Problem::kWidth] = INFINITY;
  const Written out = problem.run(kOmniCudaCacheInt8);
  EXPECT_TRUE(std::isnan(out.key_scales[Problem::token(problem.rows[0], 0)]));
  EXPECT_FALSE(std::isnan(out.key_scales[Problem::token(problem.rows[0], 1)]));
  EXPECT_TRUE(std::isnan(out.value_scales[Problem::token(problem.rows[1], 1)]));
}

}  // namespace
}  // namespace omni::cuda
