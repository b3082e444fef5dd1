#include "cuda/attention_tiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "attention_truth.h"

namespace omni::kernels {
namespace {

using cuda::RowSpans;
using cuda::Sight;

bool sees(const AttentionSpans& spans, std::int64_t row, std::int64_t key) {
  return spans.key_first()[row] <= key && key < spans.key_last()[row];
}

RowSpans row_spans(const AttentionSpans& spans) {
  return {spans.key_first().data(), spans.key_last().data(), static_cast<int>(spans.rows())};
}

// Documents, documents with segments that see their end, and windows, some of which see nothing.
std::vector<AttentionSpans> many_spans() {
  std::mt19937 random(11);
  std::vector<AttentionSpans> all;
  for (int round = 0; round < 60; ++round) {
    const std::int64_t rows = std::uniform_int_distribution<std::int64_t>(1, 500)(random);
    all.push_back(AttentionSpans::causal(random_documents(rows, random)));
    all.push_back(random_segments(rows, random));
    all.push_back(random_windows(rows, random));
  }
  return all;
}

// How many of the pairs of a rectangle are seen, by looking at each.
std::int64_t pairs_in(const AttentionSpans& spans, int row_begin, int row_end, int key_begin, int key_end) {
  std::int64_t pairs = 0;
  for (int i = row_begin; i < std::min<int>(row_end, static_cast<int>(spans.rows())); ++i)
    for (int j = key_begin; j < key_end; ++j) pairs += sees(spans, i, j);
  return pairs;
}

template <int kKeys, int kQueries>
void expect_seen_tiles_alone(const AttentionSpans& spans) {
  const int rows = static_cast<int>(spans.rows());
  for (int row = 0; row < rows; row += kQueries) {
    const int row_end = std::min(rows, row + kQueries);
    std::vector<int> visited;
    for (cuda::SeenKeyTiles<kKeys> tiles(row_spans(spans), row, row_end); !tiles.done(); tiles.next())
      visited.push_back(tiles.key());
    std::vector<int> seen;
    for (int key = 0; key < rows; key += kKeys)
      if (pairs_in(spans, row, row_end, key, key + kKeys) > 0) seen.push_back(key);
    ASSERT_EQ(visited, seen) << "rows from " << row << " of " << rows;
  }
}

TEST(AttentionTiles, QueriesVisitTheTilesOfKeysThatTheySeeAndNoOthers) {
  for (const AttentionSpans& spans : many_spans()) {
    expect_seen_tiles_alone<128, 128>(spans);
    expect_seen_tiles_alone<64, 128>(spans);
    expect_seen_tiles_alone<16, 32>(spans);
  }
}

// As the kernels for Hopper find the rows: the first that ends after the keys begin, the first that begins after
// they end.
std::pair<int, int> rows_seeing(const AttentionSpans& spans, int key_begin, int key_end) {
  const auto first = spans.key_first(), last = spans.key_last();
  return {static_cast<int>(std::upper_bound(last.begin(), last.end(), key_begin) - last.begin()),
          static_cast<int>(std::lower_bound(first.begin(), first.end(), key_end) - first.begin())};
}

TEST(AttentionTiles, KeysAreVisitedByEveryQueryThatSeesThemOnceForEachHead) {
  constexpr int kKeys = 128, kQueries = 64, kFirstHead = 6, kHeads = 3;
  for (const AttentionSpans& spans : many_spans()) {
    const int rows = static_cast<int>(spans.rows());
    for (int key = 0; key < rows; key += kKeys) {
      const auto [row_begin, row_end] = rows_seeing(spans, key, key + kKeys);
      std::map<int, std::int64_t> pairs;  // by head
      std::set<std::pair<int, int>> visited;
      for (cuda::SeeingQueryTiles<kQueries> tiles(row_begin, row_end, kFirstHead, kHeads); !tiles.done();
           tiles.next()) {
        EXPECT_TRUE(visited.insert({tiles.head(), tiles.row()}).second);
        EXPECT_LT(tiles.row(), row_end);
        pairs[tiles.head()] += pairs_in(spans, tiles.row(), tiles.row() + kQueries, key, key + kKeys);
      }
      const std::int64_t expected = pairs_in(spans, 0, rows, key, key + kKeys);
      for (int head = kFirstHead; head < kFirstHead + kHeads; ++head) EXPECT_EQ(pairs[head], expected);
      EXPECT_EQ(pairs.size(), static_cast<std::size_t>(kHeads));
    }
  }
}

// A tile that is said to be seen whole gets no mask, one that nobody sees is left out.
TEST(AttentionTiles, SightOfFirstAndLastRowIsThatOfAll) {
  constexpr int kRows = 16, kKeys = 8;
  int counted[3] = {};
  for (const AttentionSpans& spans : many_spans()) {
    const int rows = static_cast<int>(spans.rows());
    for (int row = 0; row < rows; row += kRows)
      for (int key = 0; key < rows; key += kKeys) {
        const int row_end = std::min(rows, row + kRows);
        const Sight sight =
            cuda::sight_of(row_spans(spans).of(row), row_spans(spans).of(row_end - 1), key, key + kKeys);
        const std::int64_t pairs = pairs_in(spans, row, row_end, key, key + kKeys);
        ++counted[static_cast<int>(sight)];
        if (sight == Sight::none) EXPECT_EQ(pairs, 0);
        EXPECT_EQ(sight == Sight::all, pairs == std::int64_t{row_end - row} * kKeys);
      }
  }
  for (const int count : counted) EXPECT_GT(count, 100);
}

TEST(AttentionTiles, SpansOutsideOfTheKeysAreCut) {
  const std::vector<std::int32_t> first = {-7, 2, 40}, last = {3, 1 << 30, 1 << 30};
  const RowSpans spans{first.data(), last.data(), 20};
  EXPECT_EQ(spans.of(0).first, 0);
  EXPECT_EQ(spans.of(0).last, 3);
  EXPECT_EQ(spans.of(1).last, 20);
  std::vector<int> visited;
  for (cuda::SeenKeyTiles<8> tiles(spans, 0, 3); !tiles.done(); tiles.next()) visited.push_back(tiles.key());
  EXPECT_EQ(visited, (std::vector<int>{0, 8, 16}));
}

}  // namespace
}  // namespace omni::kernels
