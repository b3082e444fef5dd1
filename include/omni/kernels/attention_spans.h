#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "omni/kernels/row_range.h"

namespace omni::kernels {

// Which rows of a packed sequence each row attends to: row i sees keys key_first[i] <= j < key_last[i]. Both
// never decrease from row to row, so the rows that see a key are a range too, and a kernel finds the blocks
// that it may skip, and those that need no mask, from the ends of a block alone. A row with key_first ==
// key_last sees nothing: its output and gradients are zero, its log-sum-exp is -infinity.
//
// A value: checked when made, never changed afterwards. Errors are Error(internal): spans come from packing,
// not from files.
class AttentionSpans {
 public:
  AttentionSpans() = default;
  // One entry per row in both: 0 <= first <= last <= rows, neither decreasing.
  AttentionSpans(std::vector<std::int32_t> key_first, std::vector<std::int32_t> key_last);

  // Documents that do not see each other, causal inside. document_starts: one per document and the number of
  // rows at the end, ascending from 0; documents may be empty.
  static AttentionSpans causal(std::span<const std::int64_t> document_starts);
  // The same, but the rows of each segment also see the segment's later rows. Segments are in order, do not
  // overlap, and lie each inside one document.
  static AttentionSpans causal_with_segments(std::span<const std::int64_t> document_starts,
                                             std::span<const RowRange> bidirectional);

  std::int64_t rows() const { return static_cast<std::int64_t>(key_first_.size()); }
  std::span<const std::int32_t> key_first() const { return key_first_; }
  std::span<const std::int32_t> key_last() const { return key_last_; }
  // [2, rows] int32 on `device`: first keys, last keys.
  at::Tensor bounds(at::Device device) const;
  // The same spans, whose bounds lie on a device already: for many calls there.
  AttentionSpans with_bounds(at::Tensor bounds) const;
  std::int64_t visible_pairs() const;  // (row, key) pairs: what attention has to compute

  // The smallest ranges, in order and covering all rows, across whose ends no row sees: the documents, or
  // parts of them.
  std::vector<RowRange> islands() const;

 private:
  std::vector<std::int32_t> key_first_, key_last_;
  at::Tensor device_bounds_;  // undefined: copied when asked for
};

}  // namespace omni::kernels
