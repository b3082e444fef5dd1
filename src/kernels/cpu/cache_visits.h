#pragma once

#include <vector>

#include "decode_attention_kernels.h"
#include "omni/kernels/decode_attention.h"
#include "omni/kernels/row_range.h"

namespace omni::kernels {

DecodeCache view_of(const KeyValueCache& cache);

// Numbers of partial softmaxes.
inline std::int64_t partials_per_row(std::int64_t chunks, std::int64_t heads, std::int64_t head_size) {
  return chunks * heads * (head_size + kPartialTail);
}

// Which of some rows see which chunks, in an order that keeps each chunk's readers together.
class CacheVisits {
 public:
  // rows: their sequences and what they see.
  CacheVisits(const KeyValueCache& cache, const DecodeRows& rows, const RowRange& range);

  // For as long as this lives. Rows may see `chunks` chunks at most.
  void give_to(DecodeRows& rows) const;

 private:
  std::vector<ChunkVisit> visits_;
  std::vector<std::int32_t> visitors_;
  std::int64_t first_row_, chunks_ = 0;
};

}  // namespace omni::kernels
