#include "cache_visits.h"

#include <algorithm>
#include <tuple>

namespace omni::kernels {
namespace {

constexpr std::int64_t kMaximumRowsPerVisit = 16;  // so that the work can be dealt out

float* floats_of(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr;
}

}  // namespace

DecodeCache view_of(const KeyValueCache& cache) {
  return {cache.type(),
          cache.keys().mutable_data_ptr(),
          cache.values().mutable_data_ptr(),
          floats_of(cache.key_scales()),
          floats_of(cache.value_scales()),
          cache.keys().size(2)};
}

CacheVisits::CacheVisits(const KeyValueCache& cache, const DecodeRows& rows, const RowRange& range)
    : first_row_(range.first) {
  std::vector<std::tuple<std::int32_t, std::int32_t, std::int32_t>> seen;  // holder, chunk, row
  for (std::int64_t row = range.first; row < range.last; ++row) {
    const std::int64_t chunks = rows.last_seen[row] / kCacheChunk + 1;
    chunks_ = std::max(chunks_, chunks);
    for (std::int32_t c = 0; c < chunks; ++c)
      seen.emplace_back(cache.holder(rows.sequence[row], c), c, static_cast<std::int32_t>(row));
  }
  std::sort(seen.begin(), seen.end());
  for (const auto& [holder, chunk, row] : seen) {
    if (visits_.empty() || visits_.back().holder != holder || visits_.back().chunk != chunk ||
        visits_.back().row_count == kMaximumRowsPerVisit)
      visits_.push_back({holder, chunk, static_cast<std::int64_t>(visitors_.size()), 0});
    ++visits_.back().row_count;
    visitors_.push_back(row);
  }
}

void CacheVisits::give_to(DecodeRows& rows) const {
  rows.first_row = first_row_;
  rows.chunks = chunks_;
  rows.visits = visits_.data();
  rows.visit_count = static_cast<std::int64_t>(visits_.size());
  rows.visitors = visitors_.data();
}

}  // namespace omni::kernels
