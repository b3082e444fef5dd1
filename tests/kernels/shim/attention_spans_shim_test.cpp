// Which tiles the attention kernels visit, against brute force.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "attention_reference.h"
#include "packed_attention_spans.cuh"
#include "shim/orders.h"

namespace omni::kernels::shim_test {
namespace {

using cuda::Sight;
using cuda::Span;

constexpr int kRows = 64, kKeys = 32;
using BlockSpans = Span[kRows];

void find_bounds(const std::int32_t* values, int count, const std::int32_t* bounds, int* found) {
  const int i = static_cast<int>(blockIdx.x);
  const int low = cuda::lower_bound(values, count, bounds[i]);
  if (threadIdx.x == 0) found[i] = low;
}

TEST(AttentionSpansShim, LowerBoundIsTheLibrarys) {
  std::mt19937 random(7);
  for (const int count : {0, 1, 2, 31, 32, 33, 63, 64, 65, 1000, 1024, 1025, 40000}) {
    std::vector<std::int32_t> values(count), bounds = {-5, 0, 1, count, 3 * count + 5};
    for (std::int32_t& v : values) v = static_cast<std::int32_t>(random() % (2 * count + 1));
    std::sort(values.begin(), values.end());
    for (int i = 0; i < 40; ++i) bounds.push_back(static_cast<std::int32_t>(random() % (2 * count + 3)));
    std::vector<int> found(bounds.size());
    ASSERT_EQ(OMNI_LAUNCH(find_bounds, dim3(static_cast<unsigned>(bounds.size())), dim3(32), 0, nullptr,
                          values.data(), count, bounds.data(), found.data()),
              0);
    for (std::size_t i = 0; i < bounds.size(); ++i)
      EXPECT_EQ(found[i], std::lower_bound(values.begin(), values.end(), bounds[i]) - values.begin())
          << bounds[i] << " in " << count;
  }
}

// Marks the tiles that each block walks over.
void walk(OmniCudaAttention a, int tiles_per_row, int* visited) {
  OMNI_SHARED(BlockSpans, spans);
  const int block = static_cast<int>(blockIdx.x), row = block * kRows;
  auto tiles = cuda::KeyTiles<kKeys>::over(a, row, min(row + kRows, a.query_rows), *spans);
  for (; !tiles.done(); tiles.next(*spans))
    if (threadIdx.x == 0) ++visited[block * tiles_per_row + tiles.key() / kKeys];
}

TEST(AttentionSpansShim, BlocksVisitWhatTheirRowsSee) {
  for (const MaskKind kind : {MaskKind::causal_documents, MaskKind::spans, MaskKind::with_empty,
                              MaskKind::gaps, MaskKind::scattered, MaskKind::full})
    for (int seed = 0; seed < 10; ++seed) {
      const int rows = 150 + 13 * seed, key_rows = kind == MaskKind::gaps ? 3000 : rows;
      const Spans spans = make_spans(kind, rows, key_rows, static_cast<std::uint64_t>(seed));
      OmniCudaAttention a{};
      a.key_first = spans.first.data(), a.key_last = spans.last.data();
      a.query_rows = rows, a.key_rows = key_rows;
      const int blocks = (rows + kRows - 1) / kRows, tiles = (key_rows + kKeys - 1) / kKeys;
      std::vector<int> visited;
      const std::string different = shim::for_every_order(
          [&] {
            std::vector<int> marks(static_cast<std::size_t>(blocks) * tiles);
            EXPECT_EQ(OMNI_LAUNCH(walk, dim3(static_cast<unsigned>(blocks)), dim3(96), sizeof(BlockSpans),
                                  nullptr, a, tiles, marks.data()),
                      0);
            return marks;
          },
          visited);
      EXPECT_EQ(different, "");
      const bool every_row_sees =
          std::equal(spans.first.begin(), spans.first.end(), spans.last.begin(),
                     [](std::int32_t first, std::int32_t last) { return first < last; });
      for (int block = 0; block < blocks; ++block)
        for (int tile = 0; tile < tiles; ++tile) {
          bool seen = false;
          for (int row = block * kRows; row < std::min(rows, (block + 1) * kRows); ++row)
            seen |= std::max(spans.first[row], tile * kKeys) < std::min(spans.last[row], (tile + 1) * kKeys);
          const int times = visited[static_cast<std::size_t>(block) * tiles + tile];
          // A tile at the edge that only rows that see nothing point to may be visited too.
          if (seen || every_row_sees)
            EXPECT_EQ(times, seen ? 1 : 0)
                << "mask " << static_cast<int>(kind) << " block " << block << " tile " << tile;
          EXPECT_LE(times, 1);
        }
    }
}

TEST(AttentionSpansShim, SightTellsHowMuchIsSeen) {
  std::mt19937 random(9);
  int none = 0, all = 0;
  for (int round = 0; round < 3000; ++round) {
    const int rows = 1 + static_cast<int>(random() % 40);
    const Spans spans = make_spans(round % 2 ? MaskKind::scattered : MaskKind::spans, rows, rows, random());
    const int row = static_cast<int>(random() % rows),
              row_end = row + 1 + static_cast<int>(random() % (rows - row));
    const int key = static_cast<int>(random() % rows), key_end = key + 1 + static_cast<int>(random() % 8);
    int seen = 0;
    for (int i = row; i < row_end; ++i)
      for (int j = key; j < key_end; ++j) seen += spans.first[i] <= j && j < spans.last[i];
    const Span first{spans.first[row], spans.last[row]},
        last{spans.first[row_end - 1], spans.last[row_end - 1]};
    const Sight sight = cuda::sight_of(first, last, key, key_end);
    EXPECT_EQ(sight == Sight::all, seen == (row_end - row) * (key_end - key));
    if (sight == Sight::none) EXPECT_EQ(seen, 0);
    none += sight == Sight::none;
    all += sight == Sight::all;
  }
  EXPECT_GT(none, 100);
  EXPECT_GT(all, 100);
}

}  // namespace
}  // namespace omni::kernels::shim_test
