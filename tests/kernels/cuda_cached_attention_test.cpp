#include "cuda/cuda_cached_attention.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "omni/core/error.h"
#include "omni/kernels/cuda_plugin.h"

namespace omni::kernels {
namespace {

constexpr std::int64_t kHeadsPerKey = 2;

// Where the kernel reads the keys that a row sees, against where the cache holds them.
void expect_right_places(const KeyValueCache& cache, const std::vector<std::int32_t>& sequence,
                         const std::vector<std::int32_t>& last_seen,
                         const std::vector<CudaDecodePlace>& places) {
  ASSERT_EQ(places.size(), sequence.size());
  // Refuses groups that do not hold together.
  EXPECT_NO_THROW(cuda_decode_rows(places, kHeadsPerKey, kCacheChunk, at::kCPU));
  for (std::size_t i = 0; i < places.size(); ++i) {
    EXPECT_EQ(places[i].sequence, sequence[i]);
    EXPECT_EQ(places[i].position, last_seen[i]);
    for (std::int32_t token = 0; token <= last_seen[i]; ++token)
      ASSERT_EQ(token < places[i].shared ? places[i].holder : places[i].sequence,
                cache.holder(sequence[i], token / kCacheChunk))
          << "row " << i << ", token " << token;
  }
}

TEST(CudaDecodePlaces, SamplesOfOnePromptReadItsKeysOnce) {
  KeyValueCache cache(7, 2, 1000, 32);
  for (const int sample : {1, 2, 3}) cache.share_prefix(0, sample, 300);
  cache.share_prefix(4, 5, 700);
  const std::vector<std::int32_t> sequence = {0, 1, 2, 3, 4, 5, 6},
                                  last_seen = {310, 305, 299, 500, 701, 700, 2};
  const auto places = cuda_decode_places(cache, sequence, last_seen, kHeadsPerKey);
  ASSERT_TRUE(places);
  expect_right_places(cache, sequence, last_seen, *places);
  const std::int32_t rows[] = {4, 4, 4, 4, 2, 2, 1}, shared[] = {256, 256, 256, 256, 640, 640, 0};
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ((*places)[i].group_rows, rows[i]) << i;
    EXPECT_EQ((*places)[i].shared, shared[i]) << i;
  }
}

TEST(CudaDecodePlaces, RandomSharingReadsWhatTheCacheHolds) {
  std::mt19937 random(5);
  const auto below = [&](int bound) { return static_cast<std::int32_t>(random() % bound); };
  int expressible = 0, not_expressible = 0;
  for (int round = 0; round < 200; ++round) {
    constexpr int kSequences = 6;
    KeyValueCache cache(kSequences, 1, 640, 16);
    for (int i = 0; i < 5; ++i) cache.share_prefix(below(kSequences), below(kSequences), below(640));
    std::vector<std::int32_t> sequence, last_seen;
    for (int i = 0, rows = 1 + below(9); i < rows; ++i) {
      sequence.push_back(below(kSequences));
      last_seen.push_back(below(640));
    }
    const auto places = cuda_decode_places(cache, sequence, last_seen, kHeadsPerKey);
    ++(places ? expressible : not_expressible);
    if (places) expect_right_places(cache, sequence, last_seen, *places);
  }
  EXPECT_GT(expressible, 50);
  EXPECT_GT(not_expressible, 0);
}

TEST(CudaDecodePlaces, GroupsStayWithinTheKernelsBound) {
  KeyValueCache cache(40, 1, 300, 16);
  std::vector<std::int32_t> sequence, last_seen;
  for (int s = 0; s < 40; ++s) {
    cache.share_prefix(0, s, 290);
    sequence.push_back(s);
    last_seen.push_back(295);
  }
  const auto places = cuda_decode_places(cache, sequence, last_seen, kHeadsPerKey);
  ASSERT_TRUE(places);
  expect_right_places(cache, sequence, last_seen, *places);
}

// The GPU against the processor.
class CachedAttentionGpu : public testing::TestWithParam<CacheType> {
 protected:
  static constexpr std::int64_t kSize = 64;

  void SetUp() override {
    if (!gpu_refusal().empty()) GTEST_SKIP() << gpu_refusal();
    at::manual_seed(8);
  }
  void start(std::int64_t heads, std::int64_t key_heads, std::int64_t sequences) {
    options_.heads = heads;
    options_.key_value_heads = key_heads;
    options_.head_size = kSize;
    there_.emplace(sequences, key_heads, 500, kSize, GetParam(), at::kCUDA);
    here_.emplace(sequences, key_heads, 500, kSize, GetParam());
  }
  void step(const std::vector<std::int32_t>& sequence, const std::vector<std::int32_t>& position) {
    const std::int64_t width = (options_.heads + 2 * options_.key_value_heads) * kSize;
    const auto rows = static_cast<std::int64_t>(sequence.size());
    const at::Tensor qkv = at::randn({rows, width}).to(at::kBFloat16);
    RotaryAttention here = options_, there = options_;
    here.cosine = at::rand({rows, kSize / 2});
    here.sine = at::rand({rows, kSize / 2});
    there.cosine = here.cosine.to(at::kCUDA);
    there.sine = here.sine.to(at::kCUDA);
    const auto on_gpu =
        cuda_cached_attention(qkv.to(at::kCUDA), there, *there_, sequence, position, position);
    ASSERT_TRUE(on_gpu);
    const at::Tensor expected = cached_attention(qkv, here, *here_, sequence, position).to(at::kDouble);
    EXPECT_LT((on_gpu->cpu().to(at::kDouble) - expected).norm().item<double>(),
              0.02 * expected.norm().item<double>());
  }

  RotaryAttention options_;
  std::optional<KeyValueCache> there_, here_;
};
INSTANTIATE_TEST_SUITE_P(Types, CachedAttentionGpu, testing::Values(CacheType::bf16, CacheType::int8));

// Prefixes that are shared, then tokens one by one.
TEST_P(CachedAttentionGpu, EqualsTheProcessor) {
  start(4, 2, 3);
  std::vector<std::int32_t> sequence(300, 0), position(300);
  for (int i = 0; i < 300; ++i) position[i] = i;
  step(sequence, position);
  for (KeyValueCache* cache : {&*there_, &*here_})
    for (const int to : {1, 2}) cache->share_prefix(0, to, 300);
  for (std::int32_t p = 300; p < 390; ++p) step({0, 1, 2}, {p, p, p});
}

// A single row, or a single head, has strides that say nothing.
TEST_P(CachedAttentionGpu, OneSequenceAloneEqualsTheProcessor) {
  for (const std::int64_t heads : {1, 2, 4}) {
    start(heads, (heads + 1) / 2, 1);
    for (std::int32_t p = 0; p < 5; ++p) step({0}, {p});
    step({0, 0}, {5, 6});
  }
}

}  // namespace
}  // namespace omni::kernels
