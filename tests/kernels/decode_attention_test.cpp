#include "omni/kernels/decode_attention.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "cpu/decode_attention_kernels.h"
#include "omni/core/error.h"
#include "omni/kernels/packed_attention.h"

namespace omni::kernels {
namespace {

using at::Tensor;

struct Case {
  std::string name;
  std::int64_t heads, key_value_heads, head_size;
  bool rotated, interleaved, normed;
  std::int64_t groups;
  at::ScalarType type;
  CacheType cache;
  double tolerance;  // of outputs near 1
};

// Sequences of random projected rows with their angles and groups.
struct Documents {
  std::vector<std::int64_t> starts;
  Tensor qkv;
  RotaryAttention options;

  Documents(const Case& c, const std::vector<std::int64_t>& lengths) {
    starts = {0};
    for (const std::int64_t length : lengths) starts.push_back(starts.back() + length);
    const std::int64_t rows = starts.back();
    qkv = at::randn({rows, (c.heads + 2 * c.key_value_heads) * c.head_size}).to(c.type);
    options.heads = c.heads;
    options.key_value_heads = c.key_value_heads;
    options.head_size = c.head_size;
    options.interleaved = c.interleaved;
    if (c.rotated) {
      const Tensor angles = at::randn({rows, c.head_size / 2});
      options.cosine = angles.cos();
      options.sine = angles.sin();
    }
    if (c.normed) {
      options.query_norm = at::rand({c.groups, c.head_size}) + 0.5;
      options.key_norm = at::rand({c.groups, c.head_size}) + 0.5;
      if (c.groups > 1) options.row_group = at::randint(c.groups, {rows}, at::kByte);
    }
  }

  RotaryAttention options_of(const Tensor& rows) const {
    RotaryAttention own = options;
    if (own.cosine.defined()) {
      own.cosine = own.cosine.index_select(0, rows);
      own.sine = own.sine.index_select(0, rows);
    }
    if (own.row_group.defined()) own.row_group = own.row_group.index_select(0, rows);
    return own;
  }

  // Causal attention inside each document in double precision, without a cache.
  Tensor truth() const {
    RotaryAttention exact = options;
    for (Tensor* t : {&exact.cosine, &exact.sine, &exact.query_norm, &exact.key_norm})
      if (t->defined()) *t = t->to(at::kDouble);
    const Tensor all =
        qkv.to(at::kDouble)
            .view({qkv.size(0), options.heads + 2 * options.key_value_heads, options.head_size});
    const Tensor query = norm_and_rotate(all.narrow(1, 0, options.heads), exact, exact.query_norm);
    const Tensor key =
        norm_and_rotate(all.narrow(1, options.heads, options.key_value_heads), exact, exact.key_norm);
    const Tensor value = all.narrow(1, options.heads + options.key_value_heads, options.key_value_heads);
    return packed_attention(query, key, value, AttentionSpans::causal(starts), AttentionPath::reference)
        .flatten(1);
  }
};

// Feeds rows [starts[s] + from[s], starts[s] + to[s]) of every sequence s to the cache and writes the
// outputs.
void feed(const Documents& documents, KeyValueCache& cache, const std::vector<std::int64_t>& from,
          const std::vector<std::int64_t>& to, Tensor& output) {
  std::vector<std::int32_t> sequence, position;
  std::vector<std::int64_t> rows;
  for (std::size_t s = 0; s < from.size(); ++s) {
    for (std::int64_t p = from[s]; p < to[s]; ++p) {
      sequence.push_back(static_cast<std::int32_t>(s));
      position.push_back(static_cast<std::int32_t>(p));
      rows.push_back(documents.starts[s] + p);
    }
  }
  if (rows.empty()) return;
  const Tensor index = at::tensor(rows, at::kLong);
  output.index_copy_(0, index,
                     cached_attention(documents.qkv.index_select(0, index), documents.options_of(index),
                                      cache, sequence, position));
}

// Prefixes of very different lengths, then one token of each at a time, then several.
Tensor decode(const Documents& documents, KeyValueCache& cache) {
  const std::size_t count = documents.starts.size() - 1;
  Tensor output = at::full({documents.qkv.size(0), documents.options.heads * documents.options.head_size},
                           std::numeric_limits<double>::quiet_NaN(), documents.qkv.options());
  std::vector<std::int64_t> done(count, 0), length(count), next;
  for (std::size_t s = 0; s < count; ++s) length[s] = documents.starts[s + 1] - documents.starts[s];
  for (const std::int64_t step : {0, 1, 1, 1, 7, 1000}) {
    next.clear();
    for (std::size_t s = 0; s < count; ++s)
      next.push_back(
          std::min(length[s], done[s] + (step == 0 ? length[s] / static_cast<std::int64_t>(s + 2) : step)));
    feed(documents, cache, done, next, output);
    done = next;
  }
  return output;
}

class CachedAttentionTest : public testing::TestWithParam<Case> {};

TEST_P(CachedAttentionTest, MatchesAttentionWithoutACache) {
  at::manual_seed(7);
  const Case& c = GetParam();
  const Documents documents(c, {1, 17, 129, 300, 128});
  KeyValueCache cache(5, c.key_value_heads, 301, c.head_size, c.cache);
  const Tensor output = decode(documents, cache).to(at::kDouble);
  EXPECT_LT((output - documents.truth()).abs().max().item<double>(), c.tolerance);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, CachedAttentionTest,
    testing::Values(Case{"fp32", 4, 4, 32, true, false, true, 2, at::kFloat, CacheType::fp32, 1e-5},
                    Case{"grouped", 6, 2, 64, true, true, false, 1, at::kFloat, CacheType::fp32, 1e-5},
                    Case{"one_head", 1, 1, 16, false, false, false, 1, at::kFloat, CacheType::fp32, 1e-5},
                    Case{"wide", 8, 1, 128, true, false, true, 1, at::kFloat, CacheType::bf16, 2e-2},
                    Case{"bf16", 4, 2, 80, true, true, true, 1, at::kBFloat16, CacheType::bf16, 4e-2},
                    Case{"bf16_fp32", 4, 2, 48, true, false, true, 1, at::kBFloat16, CacheType::fp32, 3e-2},
                    Case{"int8", 4, 2, 64, true, false, true, 1, at::kFloat, CacheType::int8, 4e-2},
                    Case{"int8_wide", 5, 1, 256, false, false, false, 1, at::kBFloat16, CacheType::int8,
                         5e-2},
                    Case{"odd", 4, 2, 24, true, false, true, 1, at::kFloat, CacheType::fp32, 1e-5},
                    Case{"odd_int8", 2, 2, 20, true, true, false, 1, at::kFloat, CacheType::int8, 4e-2}),
    [](const auto& info) { return info.param.name; });

const Case kPlain = {"plain", 4, 2, 64, true, false, true, 1, at::kFloat, CacheType::fp32, 1e-5};

std::vector<Case> by_cache_type() {
  std::vector<Case> cases;
  for (const CacheType type : {CacheType::fp32, CacheType::bf16, CacheType::int8}) {
    cases.push_back(kPlain);
    cases.back().cache = type;
  }
  return cases;
}

// Neither threads nor neighbours change a bit.
TEST(CachedAttention, RowsDoNotDependOnTheirCompany) {
  at::manual_seed(8);
  const int threads = at::get_num_threads();
  for (const Case& c : by_cache_type()) {
    const Documents documents(c, {250, 40, 150, 33});  // no prompt long enough to skip the cache
    KeyValueCache cache(4, c.key_value_heads, 300, c.head_size, c.cache);
    at::set_num_threads(1);
    const Tensor output = decode(documents, cache);
    at::set_num_threads(2);
    KeyValueCache other(4, c.key_value_heads, 300, c.head_size, c.cache);
    EXPECT_TRUE(at::equal(decode(documents, other), output));
    // Token by token, each sequence alone.
    KeyValueCache alone(4, c.key_value_heads, 300, c.head_size, c.cache);
    Tensor single = at::zeros_like(output);
    for (std::size_t s = 0; s < 4; ++s) {
      std::vector<std::int64_t> from(4, 0), to(4, 0);
      for (std::int64_t p = 0; p < documents.starts[s + 1] - documents.starts[s]; ++p) {
        from[s] = p;
        to[s] = p + 1;
        feed(documents, alone, from, to, single);
      }
    }
    EXPECT_TRUE(at::equal(single, output));
  }
  at::set_num_threads(threads);
}

// Prompts long enough to be attended to without the cache, among others: the truth, bit for bit what each gets alone,
// and the cache holds them for the rows that follow.
TEST_P(CachedAttentionTest, WholePromptsDoNotDependOnTheirCompany) {
  at::manual_seed(11);
  const Case& c = GetParam();
  const Documents documents(c, {150, 301, 20, 40, 129});
  const std::vector<std::int64_t> none(5, 0), prompts = {128, 300, 20, 1, 127}, all = {150, 301, 20, 40, 129};
  KeyValueCache cache(5, c.key_value_heads, 301, c.head_size, c.cache);
  Tensor output = at::full({documents.qkv.size(0), c.heads * c.head_size},
                           std::numeric_limits<double>::quiet_NaN(), documents.qkv.options());
  feed(documents, cache, none, prompts, output);
  Tensor alone = output.clone();
  for (std::size_t s = 0; s < 5; ++s) {
    std::vector<std::int64_t> own(5, 0);
    own[s] = prompts[s];
    KeyValueCache other(5, c.key_value_heads, 301, c.head_size, c.cache);
    feed(documents, other, none, own, alone);
    EXPECT_TRUE(at::equal(other.read_keys(s, own[s]), cache.read_keys(s, own[s])));
    EXPECT_TRUE(at::equal(other.read_values(s, own[s]), cache.read_values(s, own[s])));
  }
  EXPECT_TRUE(at::equal(alone.nan_to_num(), output.nan_to_num()));
  feed(documents, cache, prompts, all, output);
  EXPECT_LT((output.to(at::kDouble) - documents.truth()).abs().max().item<double>(), c.tolerance);
}

// Rows of a segment see its later rows.
TEST(CachedAttention, SegmentsOfLongPromptsSeeAllOfThemselves) {
  at::manual_seed(12);
  for (const Case& c : by_cache_type()) {
    const Documents documents(c, {200});
    const std::vector<std::int32_t> sequence(200, 0);
    std::vector<std::int32_t> position, last_seen;
    for (std::int32_t i = 0; i < 200; ++i) {
      position.push_back(i);
      last_seen.push_back(i >= 10 && i < 160 ? 159 : i);
    }
    KeyValueCache cache(1, c.key_value_heads, 200, c.head_size, c.cache),
        other(1, c.key_value_heads, 200, c.head_size, CacheType::fp32);
    EXPECT_TRUE(at::allclose(
        cached_attention(documents.qkv, documents.options, cache, sequence, position, last_seen),
        cached_attention_reference(documents.qkv, documents.options, other, sequence, position, last_seen),
        1e-4, 1e-5));
  }
}

TEST(CachedAttention, SharedPrefixesAreLikeCopies) {
  at::manual_seed(9);
  for (const Case& c : by_cache_type()) {
    for (const std::int64_t prefix : {5, 128, 300}) {
      // Three sequences with equal first rows.
      Documents documents(c, {310, 310, 310});
      for (Tensor t : {documents.qkv, documents.options.cosine, documents.options.sine})
        for (const std::int64_t s : {1, 2}) t.narrow(0, s * 310, prefix).copy_(t.narrow(0, 0, prefix));
      KeyValueCache apart(3, c.key_value_heads, 310, c.head_size, c.cache),
          shared(3, c.key_value_heads, 310, c.head_size, c.cache);
      Tensor expected = at::zeros({930, c.heads * c.head_size}), output = at::zeros_like(expected);
      feed(documents, apart, {0, 0, 0}, {prefix, prefix, prefix}, expected);
      feed(documents, apart, {prefix, prefix, prefix}, {310, 310, 310}, expected);
      feed(documents, shared, {0, 0, 0}, {prefix, 0, 0}, output);
      shared.share_prefix(0, 1, prefix);
      shared.share_prefix(1, 2, prefix);
      feed(documents, shared, {prefix, prefix, prefix}, {310, 310, 310}, output);
      for (std::int64_t s = 0; s < 3; ++s)
        EXPECT_TRUE(at::equal(output.narrow(0, s * 310 + prefix, 310 - prefix),
                              expected.narrow(0, s * 310 + prefix, 310 - prefix)));
      EXPECT_EQ(shared.holder(2, 0), prefix >= kCacheChunk ? 0 : 2);
      // The holder leaves; the others keep what they shared.
      const Tensor before = shared.read_keys(2, 310);
      shared.release(0);
      Tensor again = at::zeros_like(output);
      feed(documents, shared, {0, 0, 0}, {40, 0, 0}, again);
      EXPECT_TRUE(at::equal(shared.read_keys(2, 310), before));
      EXPECT_TRUE(at::equal(shared.read_keys(1, prefix), before.narrow(1, 0, prefix)));
    }
  }
}

TEST(CachedAttention, BrokenPlacesAreRefused) {
  const Documents documents(kPlain, {4});
  KeyValueCache cache(2, kPlain.key_value_heads, 130, kPlain.head_size);
  const auto attend = [&](std::vector<std::int32_t> sequence, std::vector<std::int32_t> position) {
    return cached_attention(documents.qkv, documents.options, cache, sequence, position);
  };
  EXPECT_THROW(attend({0, 0, 0}, {0, 1, 2}), Error);
  EXPECT_THROW(attend({0, 0, 0, 2}, {0, 1, 2, 3}), Error);
  EXPECT_THROW(attend({0, 0, 0, 0}, {0, 1, 2, 130}), Error);
  EXPECT_THROW(attend({0, 0, 0, 0}, {-1, 1, 2, 3}), Error);
  cache.share_prefix(0, 1, 128);
  EXPECT_THROW(attend({1, 1, 1, 1}, {126, 127, 128, 129}), Error);
  EXPECT_THROW(cache.share_prefix(0, 1, 131), Error);
  KeyValueCache narrow(2, kPlain.key_value_heads, 130, 32);
  EXPECT_THROW(cached_attention(documents.qkv, documents.options, narrow, std::vector<std::int32_t>(4, 0),
                                std::vector<std::int32_t>{0, 1, 2, 3}),
               Error);
  EXPECT_EQ(cached_attention(documents.qkv.narrow(0, 0, 0), documents.options_of(at::empty({0}, at::kLong)),
                             cache, {}, {})
                .size(0),
            0);
}

TEST(CachedAttention, NotANumberIsNotHidden) {
  for (const std::int64_t column : {0, 4 * 64, 6 * 64}) {  // query, key, value of the second token
    Documents documents({"nan", 4, 2, 64, false, false, false, 1, at::kFloat, CacheType::fp32, 0}, {3});
    documents.qkv[1][column] = std::numeric_limits<float>::quiet_NaN();
    KeyValueCache cache(1, 2, 3, 64);
    Tensor output = at::zeros({3, 256});
    feed(documents, cache, {0}, {3}, output);
    EXPECT_FALSE(at::isnan(output[0]).any().item<bool>());
    EXPECT_TRUE(at::isnan(output[1]).any().item<bool>());
  }
}

// All three steps by every instruction set over the same rows.
TEST(CachedAttention, EveryInstructionSetAgrees) {
  at::manual_seed(10);
  for (const Case& c : by_cache_type()) {
    const Documents documents(c, {150});
    const auto run = [&](InstructionSet level) {
      const KeyValueCache cache(1, c.key_value_heads, 150, c.head_size, c.cache);
      const std::vector<std::int32_t> sequence(150, 0);
      std::vector<std::int32_t> position(150);
      for (std::int32_t i = 0; i < 150; ++i) position[i] = i;
      AttentionInputs in;
      const float* data = documents.qkv.const_data_ptr<float>();
      in.query = data;
      in.key = data + c.heads * c.head_size;
      in.value = data + (c.heads + c.key_value_heads) * c.head_size;
      in.query_stride = in.key_stride = in.value_stride = documents.qkv.size(1);
      in.heads = c.heads;
      in.key_value_heads = c.key_value_heads;
      in.head_size = c.head_size;
      in.cosine = documents.options.cosine.const_data_ptr<float>();
      in.sine = documents.options.sine.const_data_ptr<float>();
      DecodeCache view{c.cache,
                       cache.keys().mutable_data_ptr(),
                       cache.values().mutable_data_ptr(),
                       nullptr,
                       nullptr,
                       cache.keys().size(2)};
      if (c.cache == CacheType::int8) {
        view.key_scales = cache.key_scales().mutable_data_ptr<float>();
        view.value_scales = cache.value_scales().mutable_data_ptr<float>();
      }
      const std::vector<ChunkVisit> visits = {{0, 0, 0, 150}, {0, 1, 128, 22}};
      std::vector<float> queries(150 * c.heads * c.head_size),
          partials(150 * 2 * c.heads * (c.head_size + kPartialTail));
      Tensor output = at::zeros({150, c.heads * c.head_size});
      DecodeRows rows{sequence.data(),
                      position.data(),
                      position.data(),
                      queries.data(),
                      output.mutable_data_ptr(),
                      partials.data(),
                      0,
                      2,
                      visits.data(),
                      2,
                      position.data()};
      const DecodeAttentionKernels kernels = decode_attention_kernels(level);
      kernels.store(in, view, rows, 0, 150 * c.key_value_heads);
      kernels.attend(in, view, rows, 0, 2 * c.key_value_heads);
      kernels.merge(in, rows, 0, 150 * c.heads);
      return output;
    };
    const Tensor plain = run(InstructionSet::generic);
    // A value at the edge of two roundings may fall to either side.
    const double tolerance = c.cache == CacheType::fp32 ? 1e-5 : 2e-2;
    for (const InstructionSet level : {InstructionSet::avx2, InstructionSet::avx512}) {
      if (instruction_set() < level) continue;
      EXPECT_LT((run(level) - plain).abs().max().item<double>(), tolerance);
    }
  }
}

}  // namespace
}  // namespace omni::kernels
