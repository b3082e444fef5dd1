// Decode attention on the GPU against a plain softmax in double precision over the cache as it is stored.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "decode_attention.cuh"
#include "omni/core/random.h"
#include "shim/orders.h"

namespace omni::cuda {
namespace {

struct Case {
  std::string name;
  OmniCudaCacheType cache_type;
  int head_size, heads, key_value_heads;
  std::vector<int> lengths;  // of the rows
  // Rows [first, first + count) share the first `keys` keys of sequence `holder`.
  struct Group {
    int first, count, keys, holder;
  };
  std::vector<Group> groups;
  double tolerance;  // of outputs of size 1
};

// Device memory of one launch, the cache's elements in their stored form. T: of queries and output.
template <class T>
class Problem {
 public:
  explicit Problem(const Case& c) : case_(c) {
    CounterRng rng(5);
    const auto rows = static_cast<int>(c.lengths.size());
    for (const int length : c.lengths) room_ = std::max<std::int64_t>(room_, length);
    room_ += 7;
    const std::size_t tokens = static_cast<std::size_t>(rows) * c.key_value_heads * room_;
    fill(keys_, key_bytes_, key_scales_, tokens, rng);
    fill(values_, value_bytes_, value_scales_, tokens, rng);
    query_.resize(static_cast<std::size_t>(rows) * stride());
    for (auto& x : query_) x = static_cast<float>(rng.normal());
    for (int r = 0; r < rows; ++r) rows_.push_back({r, c.lengths[r] - 1, r, 1, 0, r});
    for (const Case::Group& g : c.groups)
      for (int r = g.first; r < g.first + g.count; ++r) {
        rows_[r].group_first = g.first;
        rows_[r].group_rows = g.count;
        rows_[r].shared_keys = g.keys;
        rows_[r].holder = g.holder;
      }
  }

  // Bytes of the output, [rows, heads, head_size] of T.
  std::vector<T> run(int times = 1) const {
    std::vector<T> output(case_.lengths.size() * case_.heads * case_.head_size, T(NAN));
    OmniCudaDecodeAttention a{};
    const bool bytes = case_.cache_type != kOmniCudaCacheLikeQuery;
    a.query = query_.data();
    a.output = output.data();
    a.keys = bytes ? static_cast<const void*>(key_bytes_.data()) : keys_.data();
    a.values = bytes ? static_cast<const void*>(value_bytes_.data()) : values_.data();
    a.key_scales = bytes ? key_scales_.data() : nullptr;
    a.value_scales = bytes ? value_scales_.data() : nullptr;
    a.rows = rows_.data();
    a.query_stride = stride();
    a.room = room_;
    a.row_count = static_cast<std::int32_t>(case_.lengths.size());
    a.heads = case_.heads;
    a.key_value_heads = case_.key_value_heads;
    a.head_size = case_.head_size;
    a.keys_per_split = kSplit;
    a.maximum_splits = room_ / kSplit + 1;
    a.type = std::is_same_v<T, __half> ? kOmniCudaFloat16 : kOmniCudaBfloat16;
    a.cache_type = case_.cache_type;
    a.scale = scale();
    std::vector<std::uint64_t> workspace(omni_cuda_decode_attention_workspace(&a) / 8);
    a.workspace = workspace.data();
    for (int i = 0; i < times; ++i) EXPECT_EQ(omni_cuda_decode_attention(&a, nullptr), 0);
    return output;
  }

  std::vector<double> truth() const {
    std::vector<double> output;
    const int group = case_.heads / case_.key_value_heads;
    for (std::size_t r = 0; r < case_.lengths.size(); ++r)
      for (int h = 0; h < case_.heads; ++h) {
        const T* q = query_.data() + r * stride() + static_cast<std::size_t>(h) * case_.head_size;
        std::vector<double> p, sum(case_.head_size, 0.0);
        double peak = -INFINITY, total = 0;
        for (int k = 0; k < case_.lengths[r]; ++k) {
          double score = 0;
          for (int d = 0; d < case_.head_size; ++d)
            score += static_cast<double>(float(q[d])) *
                     element(keys_, key_bytes_, key_scales_, r, h / group, k, d);
          p.push_back(score * scale());
          peak = std::max(peak, p.back());
        }
        for (int k = 0; k < case_.lengths[r]; ++k) {
          const double weight = std::exp(p[k] - peak);
          total += weight;
          for (int d = 0; d < case_.head_size; ++d)
            sum[d] += weight * element(values_, value_bytes_, value_scales_, r, h / group, k, d);
        }
        for (const double x : sum) output.push_back(x / total);
      }
    return output;
  }

  static constexpr int kSplit = 64;

 private:
  std::int64_t stride() const { return static_cast<std::int64_t>(case_.heads) * case_.head_size + 8; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(case_.head_size)); }

  void fill(std::vector<T>& halves, std::vector<unsigned char>& bytes, std::vector<float>& scales,
            std::size_t tokens, CounterRng& rng) const {
    const std::size_t count = tokens * case_.head_size;
    if (case_.cache_type == kOmniCudaCacheLikeQuery) {
      for (std::size_t i = 0; i < count; ++i) halves.emplace_back(static_cast<float>(rng.normal()));
      return;
    }
    for (std::size_t i = 0; i < tokens; ++i) scales.push_back(static_cast<float>(rng.uniform(0.5, 1.5)) / 64);
    for (std::size_t i = 0; i < count; ++i) {
      unsigned char byte = static_cast<unsigned char>(rng.below(256));
      // e4m3 of moderate size: an exponent that is not NaN's, and sometimes a subnormal number.
      if (case_.cache_type == kOmniCudaCacheFp8)
        byte = static_cast<unsigned char>((byte & 0x80) | rng.below(0x70));
      bytes.push_back(byte);
    }
  }

  // As the formats define it.
  static double decoded(OmniCudaCacheType type, unsigned char byte) {
    if (type == kOmniCudaCacheInt8) return static_cast<signed char>(byte);
    const int exponent = byte >> 3 & 15, fraction = byte & 7;
    const double magnitude =
        exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10);
    return byte & 0x80 ? -magnitude : magnitude;
  }

  double element(const std::vector<T>& halves, const std::vector<unsigned char>& bytes,
                 const std::vector<float>& scales, std::size_t row, int head, int key, int column) const {
    const OmniCudaDecodeRow& place = rows_[row];
    const std::size_t sequence = key < place.shared_keys ? place.holder : place.sequence;
    const std::size_t token = (sequence * case_.key_value_heads + head) * room_ + key;
    const std::size_t i = token * case_.head_size + column;
    if (case_.cache_type == kOmniCudaCacheLikeQuery) return float(halves[i]);
    return decoded(case_.cache_type, bytes[i]) * scales[token];
  }

  const Case& case_;
  std::int64_t room_ = 0;
  std::vector<T> query_, keys_, values_;
  std::vector<unsigned char> key_bytes_, value_bytes_;
  std::vector<float> key_scales_, value_scales_;
  std::vector<OmniCudaDecodeRow> rows_;
};

std::vector<Case> cases() {
  constexpr auto like = kOmniCudaCacheLikeQuery;
  constexpr auto int8 = kOmniCudaCacheInt8, fp8 = kOmniCudaCacheFp8;
  return {{"ragged", like, 64, 4, 2, {1, 15, 64, 65, 130, 2}, {}, 2e-2},
          {"ungrouped", like, 128, 2, 2, {70, 3}, {}, 2e-2},
          {"many queries per key", like, 64, 20, 1, {100, 17}, {}, 2e-2},
          {"sixty-four queries per key", like, 64, 64, 1, {33}, {}, 2e-2},
          {"samples of one prompt", like, 64, 4, 2, {140, 129, 150, 190, 9}, {{0, 4, 128, 0}}, 2e-2},
          {"holder outside of the group", like, 128, 8, 2, {80, 70, 66, 140}, {{1, 2, 64, 3}}, 2e-2},
          {"wide group", like, 64, 8, 1, {70, 71, 72, 73, 74, 75, 76, 77}, {{0, 8, 64, 5}}, 2e-2},
          {"int8", int8, 64, 4, 2, {1, 70, 129}, {}, 3e-2},
          {"int8 wide, shared", int8, 128, 4, 1, {65, 100, 64}, {{0, 2, 64, 1}}, 3e-2},
          {"fp8", fp8, 64, 4, 2, {70, 16}, {}, 3e-2},
          {"fp8 wide", fp8, 128, 2, 1, {67}, {}, 3e-2},
          {"narrow", like, 32, 4, 2, {1, 90}, {}, 2e-2},
          {"ninety-six", int8, 96, 2, 1, {70}, {}, 3e-2},
          {"widest", like, 256, 2, 1, {130}, {}, 2e-2},
          {"widest fp8", fp8, 192, 2, 1, {20}, {}, 3e-2}};
}

// What for_every_order compares.
template <class T>
std::vector<std::uint16_t> bits_of(const std::vector<T>& values) {
  std::vector<std::uint16_t> bits(values.size());
  std::memcpy(bits.data(), values.data(), 2 * values.size());
  return bits;
}

template <class T>
void expect_truth(const Case& c) {
  SCOPED_TRACE(c.name);
  const Problem<T> problem(c);
  std::vector<std::uint16_t> first;
  EXPECT_EQ(shim::for_every_order([&] { return bits_of(problem.run()); }, first), "");
  const std::vector<T> output = problem.run(2);  // the workspace serves launch after launch
  EXPECT_EQ(bits_of(output), first);
  const std::vector<double> truth = problem.truth();
  ASSERT_EQ(output.size(), truth.size());
  double size = 1, worst = 0;
  for (const double x : truth) size = std::max(size, std::abs(x));
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const double error = std::abs(static_cast<float>(output[i]) - truth[i]);
    worst = error <= worst ? worst : error;  // NaN sticks
  }
  EXPECT_LT(worst, c.tolerance * size);
}

TEST(DecodeAttentionShim, MatchesADoublePrecisionSoftmax) {
  for (const Case& c : cases()) expect_truth<__nv_bfloat16>(c);
}

TEST(DecodeAttentionShim, HalfPrecisionMatchesToo) {
  for (const Case& c : cases()) {
    Case narrower = c;
    narrower.tolerance /= 6;  // three more bits
    expect_truth<__half>(narrower);
  }
}

TEST(DecodeAttentionShim, SharingChangesNoBit) {
  const Case shared{"", kOmniCudaCacheLikeQuery, 64, 4, 2, {100, 90, 129}, {{0, 3, 64, 0}}, 0};
  Case alone = shared;
  alone.groups = {{0, 1, 64, 0}, {1, 1, 64, 0}, {2, 1, 64, 0}};
  EXPECT_EQ(bits_of(Problem<__nv_bfloat16>(shared).run()), bits_of(Problem<__nv_bfloat16>(alone).run()));
}

TEST(DecodeAttentionShim, WhatHasNoKernelIsRefused) {
  OmniCudaDecodeAttention good{};
  good.heads = good.key_value_heads = 1;
  good.head_size = 64;
  good.keys_per_split = 64;
  good.maximum_splits = 1;
  good.type = kOmniCudaBfloat16;
  EXPECT_EQ(omni_cuda_decode_attention(&good, nullptr), 0);  // no rows
  const auto refused = [&](auto change) {
    OmniCudaDecodeAttention a = good;
    a.row_count = 1;
    change(a);
    return omni_cuda_decode_attention(&a, nullptr) != 0;
  };
  EXPECT_TRUE(refused([](auto& a) { a.head_size = 72; }));
  EXPECT_TRUE(refused([](auto& a) { a.keys_per_split = 100; }));
  EXPECT_TRUE(refused([](auto& a) { a.query_stride = 4; }));
  EXPECT_TRUE(refused([](auto& a) { a.keys = reinterpret_cast<const void*>(std::uintptr_t{8}); }));
  EXPECT_TRUE(refused([](auto& a) { a.cache_type = kOmniCudaCacheInt8; }));  // no scales
  EXPECT_TRUE(refused([](auto& a) { a.heads = 65; }));
  EXPECT_TRUE(refused([](auto& a) { a.key_value_heads = 0; }));
}

}  // namespace
}  // namespace omni::cuda
