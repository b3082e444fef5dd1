#pragma once

#include <cstdint>
#include <vector>

#include "omni/kernels/attention_spans.h"

namespace omni::kernels {

// Row blocks are counted from the first row of their island, so that a document gives the same bits wherever
// in the batch it lies.
inline constexpr std::int64_t kAttentionRowBlock = 48;
inline constexpr std::int64_t kAttentionKeyBlock = 128;

// Consecutive rows of one island (see AttentionSpans::islands): what one thread does at a time, for one
// key-value head.
struct RowChunk {
  RowRange rows;
  RowRange keys;           // that these rows see; starts at a key block
  std::int64_t pairs = 0;  // visible (row, key) pairs
  // Where its gradients of keys and values go, in rows from the start of a buffer of partial sums; -1 where
  // the chunk is the whole island and writes the gradients themselves.
  std::int64_t partial = -1;
};

// An island of several chunks: the gradients of its keys and values are sums over the chunks, in their order.
struct SharedKeys {
  RowRange keys;
  std::int64_t first_chunk = 0, last_chunk = 0;
};

// How attention over spans is cut into work. It depends on the spans alone, never on the number of threads,
// so neither do the results.
struct AttentionSchedule {
  std::vector<RowChunk> chunks;
  std::vector<std::int64_t> order;  // of the chunks: most work first
  std::vector<SharedKeys> shared;
  std::int64_t partial_rows = 0;
};
AttentionSchedule attention_schedule(const AttentionSpans& spans);
// The same for sets of rows that each see all keys of their own set.
AttentionSchedule attention_schedule_of_sets(std::int64_t sets, std::int64_t rows, std::int64_t keys);

}  // namespace omni::kernels
