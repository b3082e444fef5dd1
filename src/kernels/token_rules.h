#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define OMNI_RULE __host__ __device__ inline
#else
#define OMNI_RULE inline
#endif

// The arithmetic of token sampling, shared by the processor, the GPU and the tests' host shim: every step is
// a fixed sequence of correctly rounded operations (products that meet a sum are always explicit fused
// multiply-adds, so that no compiler chooses), hence all of them draw the same token from the same logits.
// C++17: nvcc compiles it too.
namespace omni::kernels::token_rules {

constexpr int kWeightBits = 40;                // the best candidate weighs 2^40
constexpr std::int64_t kMaximumRow = 1 << 23;  // so that the sum of a row's weights stays below 2^63
constexpr float kMinimumPower = -64.0f;        // weights below 2^-64 of the best one's are zero

// 2^f for |f| <= 1/2 with a relative error under 1e-7 and exactly 1 at 0: 1 + c1 f + ... + c5 f^5.
constexpr float kPower1 = 0.693146977587255f, kPower2 = 0.24022242065400418f, kPower3 = 0.0555073375141465f,
                kPower4 = 0.00967151394494086f, kPower5 = 0.001326472878006336f;

OMNI_RULE std::uint32_t bits_of(float x) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(x);
#else
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
#endif
}

OMNI_RULE float float_of(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
#endif
}

// An integer that grows with the number; both zeros give the same. NaN must not come here.
OMNI_RULE std::uint32_t key_of(float x) {
  const std::uint32_t bits = bits_of(x + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

OMNI_RULE float score_of(std::uint32_t key) { return float_of(key & 0x80000000u ? key & 0x7fffffffu : ~key); }

// log2(e) / temperature in two parts: the score differences are multiplied by their sum.
struct Scale {
  float high = 0, low = 0;
};

OMNI_RULE Scale scale_of(double temperature) {
  const double exact = 1.4426950408889634 / temperature;
  Scale scale;
  // Beyond this, any two different logits that weigh anything are further apart than the weights reach.
  if (exact > 1e30) {
    scale.high = 1e30f;
  } else {
    scale.high = static_cast<float>(exact);
    scale.low = static_cast<float>(exact - static_cast<double>(scale.high));
  }
  return scale;
}

// exp((score - peak) / temperature) as an integer multiple of 2^-kWeightBits, rounded down. score <= peak;
// -inf weighs nothing.
OMNI_RULE std::uint64_t weight_of(float score, float peak, Scale scale) {
  const float below = score - peak;
  const float power = below * scale.high;
  if (!(power >= kMinimumPower)) return 0;
  const float whole = std::rint(power);
  float f = std::fma(below, scale.high, -whole);
  f = std::fma(below, scale.low, f);
  float p = std::fma(kPower5, f, kPower4);
  p = std::fma(p, f, kPower3);
  p = std::fma(p, f, kPower2);
  p = std::fma(p, f, kPower1);
  p = std::fma(p, f, 1.0f);
  const auto digits = static_cast<std::uint64_t>(p * 16777216.0f);  // p has 24 bits at most
  const int shift = static_cast<int>(whole) + kWeightBits - 24;
  return shift >= 0 ? digits << shift : digits >> -shift;
}

// Adds one condition: rows with and without it, and its weight.
OMNI_RULE float guide(float sum, float with, float without, float weight) {
  return std::fma(weight, with - without, sum);
}

// The repetition penalty (Keskar et al. 2019, arXiv 1909.05858).
OMNI_RULE float penalise(float score, float penalty) { return score > 0 ? score / penalty : score * penalty; }

// The least score that is kept by min-p: exp((score - peak) / temperature) >= min_p, where `reach` is
// temperature * log(min_p) <= 0.
OMNI_RULE float minimum_score(float peak, double reach) {
  const double exact = static_cast<double>(peak) + reach;
  float bound = static_cast<float>(exact);
  if (static_cast<double>(bound) < exact) bound = score_of(key_of(bound) + 1);
  return bound;
}

// A score that is so low that none below it weighs more than `weight`; never -inf. Cheap, not exact: it
// spares work and changes no result.
OMNI_RULE float score_bound(float peak, double temperature, std::uint64_t weight) {
  const double power = (weight > 0 ? std::log2(static_cast<double>(weight)) : -1.0) - kWeightBits - 0.01;
  const double bound = static_cast<double>(peak) + power * 0.6931471805599453 * temperature;
  const float lowest = -3.40282347e+38f;
  return bound > static_cast<double>(lowest) / 2 ? score_of(key_of(static_cast<float>(bound)) - 1) : lowest;
}

OMNI_RULE std::uint64_t multiply_high(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
  const std::uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
  const std::uint64_t other = a0 * b1 + (middle & 0xffffffffu);
  return a1 * b1 + (middle >> 32) + (other >> 32);
}

// The least integer at or above share / 2^64 of the mass.
OMNI_RULE std::uint64_t share_of(std::uint64_t mass, std::uint64_t share) {
  return multiply_high(mass, share) + (mass * share != 0 ? 1 : 0);
}

// A probability below one as a share of 2^64.
OMNI_RULE std::uint64_t share_from(double probability) {
  return static_cast<std::uint64_t>(probability * 18446744073709551616.0);
}

// The first 64 bits of stream `stream` of CounterRng(seed) (Philox4x32-10; Salmon et al. 2011).
OMNI_RULE std::uint64_t random_bits(std::uint64_t seed, std::uint64_t stream) {
  std::uint32_t c0 = 0, c1 = 0, c2 = static_cast<std::uint32_t>(stream),
                c3 = static_cast<std::uint32_t>(stream >> 32);
  std::uint32_t k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = 0xD2511F53ull * c0, b = 0xCD9E8D57ull * c2;
    c0 = static_cast<std::uint32_t>(b >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(b);
    c2 = static_cast<std::uint32_t>(a >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(a);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return static_cast<std::uint64_t>(c1) << 32 | c0;
}

// The natural logarithm of a sum of weights, relative to the best candidate's.
OMNI_RULE double log_mass(std::uint64_t mass) {
  return std::log(static_cast<double>(mass)) - kWeightBits * 0.6931471805599453;
}

}  // namespace omni::kernels::token_rules
