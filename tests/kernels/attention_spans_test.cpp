#include "omni/kernels/attention_spans.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "attention_truth.h"
#include "cpu/packed_attention_schedule.h"
#include "omni/core/error.h"

namespace omni::kernels {
namespace {

bool sees(const AttentionSpans& spans, std::int64_t row, std::int64_t key) {
  return spans.key_first()[row] <= key && key < spans.key_last()[row];
}

TEST(AttentionSpans, CausalDocumentsSeeTheirOwnPast) {
  const std::vector<std::int64_t> starts = {0, 3, 3, 4, 9};
  const AttentionSpans spans = AttentionSpans::causal(starts);
  const std::vector<int> document = {0, 0, 0, 2, 3, 3, 3, 3, 3};
  ASSERT_EQ(spans.rows(), 9);
  std::int64_t pairs = 0;
  for (std::int64_t i = 0; i < 9; ++i)
    for (std::int64_t j = 0; j < 9; ++j) {
      EXPECT_EQ(sees(spans, i, j), document[i] == document[j] && j <= i) << i << " " << j;
      pairs += sees(spans, i, j);
    }
  EXPECT_EQ(spans.visible_pairs(), pairs);
}

TEST(AttentionSpans, BoundsAreTheFirstAndLastKeys) {
  const AttentionSpans spans = AttentionSpans::causal(std::vector<std::int64_t>{0, 2, 3});
  const at::Tensor expected = at::tensor({0, 0, 2, 1, 2, 3}, at::kInt).view({2, 3});
  EXPECT_TRUE(spans.bounds(at::kCPU).equal(expected));
  EXPECT_TRUE(spans.with_bounds(expected).bounds(at::kCPU).is_same(expected));
  EXPECT_THROW(spans.with_bounds(expected.narrow(1, 0, 2)), Error);
}

TEST(AttentionSpans, SegmentsSeeTheirEnd) {
  const std::vector<std::int64_t> starts = {0, 5, 12};
  const std::vector<RowRange> segments = {{1, 3}, {3, 3}, {3, 5}, {6, 10}};
  const AttentionSpans spans = AttentionSpans::causal_with_segments(starts, segments);
  for (std::int64_t i = 0; i < 12; ++i)
    for (std::int64_t j = 0; j < 12; ++j) {
      bool together = j <= i;
      for (const RowRange& s : segments)
        together = together || (s.first <= i && i < s.last && s.first <= j && j < s.last);
      EXPECT_EQ(sees(spans, i, j), (i < 5) == (j < 5) && together) << i << " " << j;
    }
}

TEST(AttentionSpans, EmptySequenceIsAllowed) {
  const std::vector<std::int64_t> none = {0}, empty = {0, 0, 0};
  EXPECT_EQ(AttentionSpans::causal(none).rows(), 0);
  EXPECT_EQ(AttentionSpans::causal(empty).rows(), 0);
  EXPECT_TRUE(AttentionSpans().islands().empty());
}

TEST(AttentionSpans, RefusesWhatKernelsCannotWalk) {
  using Bounds = std::vector<std::int32_t>;
  EXPECT_THROW(AttentionSpans(Bounds{0, 0}, Bounds{1}), Error);
  EXPECT_THROW(AttentionSpans(Bounds{-1}, Bounds{1}), Error);
  EXPECT_THROW(AttentionSpans(Bounds{0}, Bounds{2}), Error);
  EXPECT_THROW(AttentionSpans(Bounds{1, 1}, Bounds{0, 1}), Error);
  EXPECT_THROW(AttentionSpans(Bounds{1, 0}, Bounds{2, 2}), Error);
  EXPECT_THROW(AttentionSpans(Bounds{0, 0}, Bounds{2, 1}), Error);
  EXPECT_THROW(AttentionSpans::causal({}), Error);
  EXPECT_THROW(AttentionSpans::causal(std::vector<std::int64_t>{1, 2}), Error);
  EXPECT_THROW(AttentionSpans::causal(std::vector<std::int64_t>{0, 3, 2}), Error);
  EXPECT_THROW(AttentionSpans::causal(std::vector<std::int64_t>{0, std::int64_t{1} << 31}), Error);
  const std::vector<std::int64_t> starts = {0, 4, 8};
  for (const auto& segments : std::vector<std::vector<RowRange>>{
           {{3, 5}}, {{0, 2}, {1, 3}}, {{5, 9}}, {{-1, 2}}, {{3, 2}}, {{5, 6}, {0, 1}}})
    EXPECT_THROW(AttentionSpans::causal_with_segments(starts, segments), Error);
}

TEST(AttentionSpans, IslandsAreTheFinestCut) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    const std::int64_t rows = std::uniform_int_distribution<std::int64_t>(1, 40)(random);
    const AttentionSpans spans = round % 2 ? random_windows(rows, random) : random_segments(rows, random);
    std::vector<bool> cut(rows + 1, false);
    std::int64_t end = 0;
    for (const RowRange& island : spans.islands()) {
      EXPECT_EQ(island.first, end);
      EXPECT_LT(island.first, island.last);
      end = island.last;
      cut[end] = true;
    }
    EXPECT_EQ(end, rows);
    for (std::int64_t at = 1; at < rows; ++at) {
      bool crossed = false;
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < rows; ++j)
          crossed = crossed || (sees(spans, i, j) && (i < at) != (j < at));
      if (crossed) EXPECT_FALSE(cut[at]) << "round " << round << " at " << at;
      // Where nobody looks across, only an empty span that points across may keep an island together.
      const bool points = spans.key_last()[at - 1] > at || spans.key_first()[at] < at;
      if (!crossed && !points) EXPECT_TRUE(cut[at]) << "round " << round << " at " << at;
    }
  }
}

TEST(AttentionSchedule, CoversEveryRowOnceAndCutsLongDocuments) {
  const std::vector<std::int64_t> starts = {0, 300, 4396, 4396, 4397};
  const AttentionSpans spans = AttentionSpans::causal(starts);
  const AttentionSchedule schedule = attention_schedule(spans);
  std::int64_t row = 0, pairs = 0, partial = 0;
  for (const RowChunk& chunk : schedule.chunks) {
    EXPECT_EQ(chunk.rows.first, row);
    row = chunk.rows.last;
    pairs += chunk.pairs;
    const std::int64_t origin = *std::prev(std::upper_bound(starts.begin(), starts.end(), chunk.rows.first));
    EXPECT_EQ((chunk.rows.first - origin) % kAttentionRowBlock, 0);
    EXPECT_EQ((chunk.keys.first - origin) % kAttentionKeyBlock, 0);
    EXPECT_LE(chunk.keys.first, spans.key_first()[chunk.rows.first]);
    EXPECT_EQ(chunk.keys.last, spans.key_last()[chunk.rows.last - 1]);
    if (chunk.partial >= 0) {
      EXPECT_EQ(chunk.partial, partial);
      partial += chunk.keys.last - chunk.keys.first;
    }
  }
  EXPECT_EQ(row, 4397);
  EXPECT_EQ(pairs, spans.visible_pairs());
  EXPECT_EQ(schedule.partial_rows, partial);
  ASSERT_EQ(schedule.shared.size(), 1u);
  EXPECT_EQ(schedule.shared[0].last_chunk - schedule.shared[0].first_chunk, 4);
  for (std::int64_t c = schedule.shared[0].first_chunk; c < schedule.shared[0].last_chunk; ++c)
    EXPECT_NEAR(static_cast<double>(schedule.chunks[c].pairs), 4096.0 * 4097 / 8, 4096.0 * 48 * 2);
  std::vector<std::int64_t> order = schedule.order;
  for (std::size_t i = 1; i < order.size(); ++i)
    EXPECT_GE(schedule.chunks[order[i - 1]].pairs, schedule.chunks[order[i]].pairs);
  std::sort(order.begin(), order.end());
  for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], static_cast<std::int64_t>(i));
}

}  // namespace
}  // namespace omni::kernels
