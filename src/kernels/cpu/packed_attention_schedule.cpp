#include "packed_attention_schedule.h"

#include <algorithm>
#include <numeric>

namespace omni::kernels {
namespace {

// An island of fewer pairs is one chunk: reading and packing its keys again would cost more than an idle
// thread. Four chunks at the most bound the memory of the partial sums; heads and documents give the rest.
constexpr std::int64_t kPairsPerChunk = 512 * 1024;
constexpr std::int64_t kMaximumChunkCount = 4;

std::int64_t chunk_count(std::int64_t pairs) {
  return std::clamp<std::int64_t>(pairs / kPairsPerChunk, 1, kMaximumChunkCount);
}

RowChunk chunk_of(const AttentionSpans& spans, const RowRange& island, const RowRange& rows) {
  RowChunk chunk;
  chunk.rows = rows;
  const std::int64_t first = spans.key_first()[rows.first] - island.first;
  chunk.keys = {island.first + first / kAttentionKeyBlock * kAttentionKeyBlock,
                spans.key_last()[rows.last - 1]};
  for (std::int64_t i = rows.first; i < rows.last; ++i)
    chunk.pairs += spans.key_last()[i] - spans.key_first()[i];
  return chunk;
}

// Cuts an island into chunks of about the same number of pairs, at row blocks.
std::vector<RowChunk> chunks_of(const AttentionSpans& spans, const RowRange& island) {
  RowChunk whole = chunk_of(spans, island, island);
  const std::int64_t count = chunk_count(whole.pairs);
  if (count == 1) {
    whole.keys = island;  // keys that no row sees receive their zero gradients too
    return {whole};
  }
  std::vector<RowChunk> chunks;
  std::int64_t done = 0, first = island.first;
  for (std::int64_t block = island.first; block < island.last; block += kAttentionRowBlock) {
    const std::int64_t end = std::min(island.last, block + kAttentionRowBlock);
    for (std::int64_t i = block; i < end; ++i) done += spans.key_last()[i] - spans.key_first()[i];
    const auto target = whole.pairs * (static_cast<std::int64_t>(chunks.size()) + 1) / count;
    if (done < target && end < island.last) continue;
    chunks.push_back(chunk_of(spans, island, {first, end}));
    first = end;
  }
  return chunks;
}

// Appends an island's chunks; several of them share its keys.
void add_island(AttentionSchedule& schedule, std::vector<RowChunk> chunks, const RowRange& keys) {
  const auto first = static_cast<std::int64_t>(schedule.chunks.size());
  if (chunks.size() > 1) {
    for (RowChunk& chunk : chunks) {
      chunk.partial = schedule.partial_rows;
      schedule.partial_rows += chunk.keys.last - chunk.keys.first;
    }
    schedule.shared.push_back({keys, first, first + static_cast<std::int64_t>(chunks.size())});
  }
  schedule.chunks.insert(schedule.chunks.end(), chunks.begin(), chunks.end());
}

void order_by_work(AttentionSchedule& schedule) {
  schedule.order.resize(schedule.chunks.size());
  std::iota(schedule.order.begin(), schedule.order.end(), std::int64_t{0});
  std::stable_sort(schedule.order.begin(), schedule.order.end(), [&](std::int64_t a, std::int64_t b) {
    return schedule.chunks[a].pairs > schedule.chunks[b].pairs;
  });
}

}  // namespace

AttentionSchedule attention_schedule(const AttentionSpans& spans) {
  AttentionSchedule schedule;
  for (const RowRange& island : spans.islands()) add_island(schedule, chunks_of(spans, island), island);
  order_by_work(schedule);
  return schedule;
}

AttentionSchedule attention_schedule_of_sets(std::int64_t sets, std::int64_t rows, std::int64_t keys) {
  AttentionSchedule schedule;
  const std::int64_t blocks = (rows + kAttentionRowBlock - 1) / kAttentionRowBlock;
  const std::int64_t count = std::min(chunk_count(rows * keys), std::max<std::int64_t>(blocks, 1));
  for (std::int64_t s = 0; s < sets; ++s) {
    const RowRange own{s * keys, (s + 1) * keys};
    std::vector<RowChunk> chunks;
    for (std::int64_t c = 0; c < count; ++c) {
      const auto edge = [&](std::int64_t n) {
        return s * rows + std::min(rows, blocks * n / count * kAttentionRowBlock);
      };
      chunks.push_back({{edge(c), edge(c + 1)}, own, (edge(c + 1) - edge(c)) * keys});
    }
    add_island(schedule, std::move(chunks), own);
  }
  order_by_work(schedule);
  return schedule;
}

}  // namespace omni::kernels
