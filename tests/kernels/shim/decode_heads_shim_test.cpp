// Norm, rotation and cache write of a decoding step against the formulas in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "decode_heads.cuh"
#include "omni/core/random.h"
#include "shim/orders.h"

namespace omni::cuda {
namespace {

struct Case {
  int head_size, heads, key_value_heads;
  bool interleaved, norm;
  OmniCudaCacheType cache_type;
};

struct Written {
  std::vector<unsigned char> query, keys, values;
  std::vector<float> key_scales, value_scales;
  bool operator==(const Written&) const = default;
};

// Three rows into a cache of two sequences with room for five tokens.
class Problem {
 public:
  explicit Problem(const Case& c) : c_(c) {
    CounterRng rng(static_cast<std::uint64_t>(c.head_size));
    for (int i = 0; i < kRows * per_row() * c.head_size; ++i)
      qkv_.emplace_back(static_cast<float>(rng.normal()));
    for (int d = 0; d < c.head_size; ++d) {
      query_norm_.push_back(static_cast<float>(rng.uniform(0.5, 2)));
      key_norm_.push_back(static_cast<float>(rng.uniform(0.5, 2)));
    }
    for (int i = 0; i < kRows * c.head_size / 2; ++i) {
      const double angle = rng.uniform(-3, 3);
      cosine_.push_back(static_cast<float>(std::cos(angle)));
      sine_.push_back(static_cast<float>(std::sin(angle)));
    }
  }

  Written run() const {
    const std::size_t tokens = static_cast<std::size_t>(2) * c_.key_value_heads * kRoom;
    const std::size_t bytes = tokens * c_.head_size * (c_.cache_type == kOmniCudaCacheLikeQuery ? 2 : 1);
    Written out{std::vector<unsigned char>(static_cast<std::size_t>(2) * kRows * c_.heads * c_.head_size),
                std::vector<unsigned char>(bytes, 0xee), std::vector<unsigned char>(bytes, 0xee),
                std::vector<float>(tokens, -1), std::vector<float>(tokens, -1)};
    OmniCudaDecodeHeads a{};
    a.qkv = qkv_.data();
    a.query = out.query.data();
    a.keys = out.keys.data();
    a.values = out.values.data();
    a.key_scales = out.key_scales.data();
    a.value_scales = out.value_scales.data();
    a.query_norm = c_.norm ? query_norm_.data() : nullptr;
    a.key_norm = c_.norm ? key_norm_.data() : nullptr;
    a.cosine = cosine_.data();
    a.sine = sine_.data();
    a.rows = rows_.data();
    a.room = kRoom;
    a.row_count = kRows;
    a.heads = c_.heads;
    a.key_value_heads = c_.key_value_heads;
    a.head_size = c_.head_size;
    a.interleaved = c_.interleaved;
    a.norm_epsilon = 1e-5f;
    a.cache_type = c_.cache_type;
    EXPECT_EQ(omni_cuda_decode_heads(&a, nullptr), 0);
    return out;
  }

  // Head number `head` of a row's projection, after all that happens to it.
  std::vector<double> truth(int row, int head) const {
    std::vector<double> x(c_.head_size);
    for (int d = 0; d < c_.head_size; ++d) x[d] = float(qkv_[(row * per_row() + head) * c_.head_size + d]);
    if (head >= c_.heads + c_.key_value_heads) return x;
    double squares = 0;
    for (const double v : x) squares += v * v / c_.head_size;
    if (c_.norm)
      for (int d = 0; d < c_.head_size; ++d)
        x[d] *= (head < c_.heads ? query_norm_ : key_norm_)[d] / std::sqrt(squares + 1e-5);
    const int half = c_.head_size / 2;
    for (int i = 0; i < half; ++i) {
      double &a = x[c_.interleaved ? 2 * i : i], &b = x[c_.interleaved ? 2 * i + 1 : i + half];
      const double c = cosine_[row * half + i], s = sine_[row * half + i], before = a;
      a = before * c - b * s;
      b = before * s + b * c;
    }
    return x;
  }

  std::size_t token(int row, int head) const {
    return static_cast<std::size_t>(rows_[row].sequence * c_.key_value_heads + head) * kRoom +
           rows_[row].position;
  }

  static constexpr int kRows = 3, kRoom = 5;

 private:
  int per_row() const { return c_.heads + 2 * c_.key_value_heads; }

  const Case c_;
  std::vector<__nv_bfloat16> qkv_;
  std::vector<float> query_norm_, key_norm_, cosine_, sine_;
  std::vector<OmniCudaDecodeRow> rows_ = {{0, 4, 0, 1, 0, 0}, {1, 0, 1, 1, 0, 1}, {1, 1, 2, 1, 0, 1}};
};

double half_at(const std::vector<unsigned char>& bytes, std::size_t i) {
  __nv_bfloat16 value;
  std::memcpy(&value, bytes.data() + 2 * i, 2);
  return float(value);
}

double stored(const Case& c, const std::vector<unsigned char>& bytes, const std::vector<float>& scales,
              std::size_t token, int d) {
  const std::size_t i = token * c.head_size + d;
  if (c.cache_type == kOmniCudaCacheLikeQuery) return half_at(bytes, i);
  const double code = c.cache_type == kOmniCudaCacheInt8 ? value_of(Int8{static_cast<signed char>(bytes[i])})
                                                         : value_of(Fp8{bytes[i]});
  return code * scales[token];
}

// What a cache in int8 keeps of a head: rounded to bf16, then to the codes of its own largest.
std::vector<double> quantised(const std::vector<double>& head) {
  std::vector<double> kept;
  double largest = 0;
  for (const double x : head) {
    kept.push_back(float(__nv_bfloat16(static_cast<float>(x))));
    largest = std::max(largest, std::abs(kept.back()));
  }
  for (double& x : kept) x = std::nearbyint(x * 127 / largest) * largest / 127;
  return kept;
}

// Of one head, with the bounds of its roundings; how many of its numbers have another code than `quantised`.
int expect_stored(const Case& c, const std::vector<double>& truth, const std::vector<double>& own) {
  double largest = 0;
  int others = 0;
  for (const double x : truth) largest = std::max(largest, std::abs(x));
  const bool is_int8 = c.cache_type == kOmniCudaCacheInt8, is_fp8 = c.cache_type == kOmniCudaCacheFp8;
  const std::vector<double> codes = is_int8 ? quantised(truth) : own;
  for (int d = 0; d < c.head_size; ++d) {
    const double half_step = is_int8  ? largest / 254
                             : is_fp8 ? std::abs(truth[d]) / 16 + largest / 448'000
                                      : 0;
    EXPECT_NEAR(own[d], truth[d], 1.01 * half_step + std::abs(truth[d]) / 256 + 1e-5);
    others += std::abs(own[d] - codes[d]) > largest / 508 ? 1 : 0;
  }
  return others;
}

void expect_truth(const Case& c) {
  const Problem problem(c);
  int stored_count = 0, other_codes = 0;
  Written out;
  EXPECT_EQ(shim::for_every_order([&] { return problem.run(); }, out), "");
  std::vector<bool> touched(out.key_scales.size(), false);
  for (int r = 0; r < Problem::kRows; ++r) {
    for (int h = 0; h < c.heads; ++h) {
      const std::vector<double> truth = problem.truth(r, h);
      for (int d = 0; d < c.head_size; ++d)
        EXPECT_NEAR(half_at(out.query, static_cast<std::size_t>(r * c.heads + h) * c.head_size + d), truth[d],
                    std::abs(truth[d]) / 256 + 1e-5);
    }
    for (int h = 0; h < c.key_value_heads; ++h)
      for (const bool value : {false, true}) {
        const std::size_t token = problem.token(r, h);
        touched[token] = true;
        std::vector<double> own;
        for (int d = 0; d < c.head_size; ++d)
          own.push_back(
              stored(c, value ? out.values : out.keys, value ? out.value_scales : out.key_scales, token, d));
        stored_count += c.head_size;
        other_codes += expect_stored(c, problem.truth(r, c.heads + h + (value ? c.key_value_heads : 0)), own);
      }
  }
  const std::size_t token_bytes = out.keys.size() / touched.size();
  for (std::size_t i = 0; i < out.keys.size(); ++i)
    if (!touched[i / token_bytes]) EXPECT_EQ(out.keys[i], 0xee);
  EXPECT_LE(100 * other_codes, stored_count);  // ties that single precision decides otherwise
}

TEST(DecodeHeadsShim, MatchesTheFormulas) {
  const Case cases[] = {{64, 4, 2, false, true, kOmniCudaCacheLikeQuery},
                        {96, 2, 2, true, true, kOmniCudaCacheInt8},
                        {32, 3, 1, false, false, kOmniCudaCacheFp8},
                        {128, 2, 1, true, false, kOmniCudaCacheLikeQuery},
                        {6, 1, 1, false, true, kOmniCudaCacheInt8}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.head_size);
    expect_truth(c);
  }
}

TEST(DecodeHeadsShim, WhatHasNoKernelIsRefused) {
  OmniCudaDecodeHeads a{};
  a.heads = a.key_value_heads = 1;
  a.head_size = 64;
  EXPECT_EQ(omni_cuda_decode_heads(&a, nullptr), 0);  // no rows
  a.cache_type = kOmniCudaCacheInt8;
  EXPECT_EQ(omni_cuda_decode_heads(&a, nullptr), kOmniCudaUnsupported);  // no scales
  a.cache_type = kOmniCudaCacheLikeQuery;
  for (const int size : {0, 63, 1024}) {
    a.head_size = size;
    EXPECT_EQ(omni_cuda_decode_heads(&a, nullptr), kOmniCudaUnsupported) << size;
  }
}

}  // namespace
}  // namespace omni::cuda
