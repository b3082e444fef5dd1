#include "omni/kernels/attention_spans.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "omni/core/error.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {
namespace {

void check_documents(std::span<const std::int64_t> starts) {
  ensure(!starts.empty() && starts.front() == 0, "attention: documents do not start at row 0");
  ensure(starts.back() <= std::numeric_limits<std::int32_t>::max(), "attention: ", starts.back(),
         " rows are more than a span can count");
  for (std::size_t d = 1; d < starts.size(); ++d)
    ensure(starts[d - 1] <= starts[d], "attention: document ", d - 1, " ends before it starts");
}

}  // namespace

AttentionSpans::AttentionSpans(std::vector<std::int32_t> key_first, std::vector<std::int32_t> key_last)
    : key_first_(std::move(key_first)), key_last_(std::move(key_last)) {
  ensure(key_first_.size() == key_last_.size(), "attention: ", key_first_.size(), " first keys but ",
         key_last_.size(), " last keys");
  for (std::size_t i = 0; i < key_first_.size(); ++i) {
    const std::int32_t first = key_first_[i], last = key_last_[i];
    ensure(0 <= first && first <= last && last <= rows(), "attention: row ", i, " sees keys ", first, " to ",
           last, " of ", rows());
    ensure(i == 0 || (key_first_[i - 1] <= first && key_last_[i - 1] <= last), "attention: the span of row ",
           i, " lies before that of the row before it");
  }
}

AttentionSpans AttentionSpans::causal(std::span<const std::int64_t> document_starts) {
  return causal_with_segments(document_starts, {});
}

AttentionSpans AttentionSpans::causal_with_segments(std::span<const std::int64_t> document_starts,
                                                    std::span<const RowRange> bidirectional) {
  check_documents(document_starts);
  std::vector<std::int32_t> first(document_starts.back()), last(document_starts.back());
  for (std::size_t d = 0; d + 1 < document_starts.size(); ++d)
    for (std::int64_t i = document_starts[d]; i < document_starts[d + 1]; ++i) {
      first[i] = static_cast<std::int32_t>(document_starts[d]);
      last[i] = static_cast<std::int32_t>(i + 1);
    }
  std::int64_t before = 0;
  for (const RowRange& segment : bidirectional) {
    ensure(before <= segment.first && segment.first <= segment.last && segment.last <= document_starts.back(),
           "attention: segment ", segment.first, " to ", segment.last,
           " overlaps another or leaves the rows");
    before = segment.last;
    if (segment.first == segment.last) continue;
    ensure(first[segment.first] == first[segment.last - 1], "attention: segment ", segment.first, " to ",
           segment.last, " reaches over the end of its document");
    std::fill(last.begin() + segment.first, last.begin() + segment.last,
              static_cast<std::int32_t>(segment.last));
  }
  return {std::move(first), std::move(last)};
}

at::Tensor AttentionSpans::bounds(at::Device device) const {
  if (device_bounds_.defined() && device_bounds_.device() == device) return device_bounds_;
  const at::Tensor bounds = at::empty({2, rows()}, at::kInt);
  auto* values = bounds.mutable_data_ptr<std::int32_t>();
  std::copy(key_last_.begin(), key_last_.end(), std::copy(key_first_.begin(), key_first_.end(), values));
  return bounds.to(device);
}

AttentionSpans AttentionSpans::with_bounds(at::Tensor bounds) const {
  ensure(bounds.dim() == 2 && bounds.size(0) == 2 && bounds.size(1) == rows() &&
             bounds.scalar_type() == at::kInt,
         "attention: bounds of other spans");
  AttentionSpans copy = *this;
  copy.device_bounds_ = std::move(bounds);
  return copy;
}

std::int64_t AttentionSpans::visible_pairs() const {
  std::int64_t pairs = 0;
  for (std::size_t i = 0; i < key_first_.size(); ++i) pairs += key_last_[i] - key_first_[i];
  return pairs;
}

std::vector<RowRange> AttentionSpans::islands() const {
  std::vector<RowRange> islands;
  std::int64_t start = 0;
  for (std::int64_t i = 1; i <= rows(); ++i) {
    const bool nothing_ahead = key_last_[i - 1] <= i, nothing_behind = i == rows() || key_first_[i] >= i;
    if (!nothing_ahead || !nothing_behind) continue;
    islands.push_back({start, i});
    start = i;
  }
  return islands;
}

}  // namespace omni::kernels
