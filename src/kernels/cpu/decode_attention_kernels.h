#pragma once

#include <cstdint>

#include "instruction_set.h"
#include "omni/kernels/cache_type.h"
#include "packed_attention_kernels.h"

namespace omni::kernels {

// Raw views for the CPU kernels of attention over a key-value cache; see omni/kernels/decode_attention.h.
struct DecodeCache {
  CacheType type{};
  // [sequences, key_value_heads, room, head_size]; scales [sequences, key_value_heads, room].
  void* keys = nullptr;
  void* values = nullptr;
  float* key_scales = nullptr;
  float* value_scales = nullptr;
  std::int64_t room = 0;  // tokens per sequence, a multiple of the chunk
};

// Some rows that see the same chunk of keys, where it is held.
struct ChunkVisit {
  std::int32_t holder = 0;  // sequence
  std::int32_t chunk = 0;
  std::int64_t first_row = 0;  // in DecodeRows::visitors
  std::int64_t row_count = 0;
};

struct DecodeRows {
  const std::int32_t* sequence = nullptr;  // of each row
  const std::int32_t* position = nullptr;
  const std::int32_t* last_seen = nullptr;  // of each row: the last token that it attends to
  float* queries = nullptr;                 // [rows, heads, head_size]: normed, rotated, scaled; null: unused
  void* output = nullptr;                   // [rows, heads * head_size], contiguous
  // Partial softmaxes of the rows [first_row, first_row + ...) in work: [rows, chunks, heads, head_size + 16]
  // with the unscaled output, then the largest score and the sum of exponentials.
  float* partials = nullptr;
  std::int64_t first_row = 0;
  std::int64_t chunks = 0;
  const ChunkVisit* visits = nullptr;
  std::int64_t visit_count = 0;
  const std::int32_t* visitors = nullptr;  // rows
};

constexpr std::int64_t kPartialTail = 16;

// Each call handles a range of tasks; tasks write disjoint memory. In `inputs` spans and documents are
// unused.
struct DecodeAttentionKernels {
  // Task row * key_value_heads + head: writes the row's key and value to the cache and prepares its queries.
  void (*store)(const AttentionInputs&, const DecodeCache&, const DecodeRows&, std::int64_t first,
                std::int64_t last);
  // Task head * visit_count + visit: neighbours in memory follow each other.
  void (*attend)(const AttentionInputs&, const DecodeCache&, const DecodeRows&, std::int64_t first,
                 std::int64_t last);
  // Task (row - first_row) * heads + head: merges the row's chunks in order.
  void (*merge)(const AttentionInputs&, const DecodeRows&, std::int64_t first, std::int64_t last);
};
DecodeAttentionKernels decode_attention_kernels(InstructionSet level = instruction_set());

}  // namespace omni::kernels
