#include "cpu_cached_attention.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <tuple>

#include "../projected_heads.h"
#include "cpu_attention_call.h"
#include "decode_attention_kernels.h"

namespace omni::kernels {
namespace {

using at::Tensor;

constexpr std::int64_t kMaximumPartials = 1 << 22;  // numbers of partial results held at a time
constexpr std::int64_t kMaximumRowsPerVisit = 16;   // so that the work can be dealt out

float* floats_of(const Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr;
}

DecodeCache view_of(const KeyValueCache& cache) {
  return {cache.type(),
          cache.keys().mutable_data_ptr(),
          cache.values().mutable_data_ptr(),
          floats_of(cache.key_scales()),
          floats_of(cache.value_scales()),
          cache.keys().size(2)};
}

// Which rows see which chunks, in an order that keeps each chunk's readers together.
struct Visits {
  std::vector<ChunkVisit> visits;
  std::vector<std::int32_t> visitors;
};

Visits visits_of(const KeyValueCache& cache, const DecodeRows& rows, std::int64_t first, std::int64_t last) {
  std::vector<std::tuple<std::int32_t, std::int32_t, std::int32_t>> seen;  // holder, chunk, row
  for (std::int64_t row = first; row < last; ++row)
    for (std::int32_t c = 0; c <= rows.last_seen[row] / kCacheChunk; ++c)
      seen.emplace_back(cache.holder(rows.sequence[row], c), c, static_cast<std::int32_t>(row));
  std::sort(seen.begin(), seen.end());
  Visits result;
  for (const auto& [holder, chunk, row] : seen) {
    if (result.visits.empty() || result.visits.back().holder != holder ||
        result.visits.back().chunk != chunk || result.visits.back().row_count == kMaximumRowsPerVisit)
      result.visits.push_back({holder, chunk, static_cast<std::int64_t>(result.visitors.size()), 0});
    ++result.visits.back().row_count;
    result.visitors.push_back(row);
  }
  return result;
}

// Attention of the rows [first, last), whose keys are in the cache.
void attend(const AttentionInputs& in, const KeyValueCache& cache, DecodeRows rows, std::int64_t first,
            std::int64_t last, std::vector<float>& partials) {
  const DecodeAttentionKernels kernels = decode_attention_kernels();
  const Visits visits = visits_of(cache, rows, first, last);
  const std::int64_t count = last - first;
  partials.resize(static_cast<std::size_t>(count * rows.chunks * in.heads * (in.head_size + kPartialTail)));
  rows.partials = partials.data();
  rows.first_row = first;
  rows.visits = visits.visits.data();
  rows.visit_count = static_cast<std::int64_t>(visits.visits.size());
  rows.visitors = visits.visitors.data();
  const DecodeCache view = view_of(cache);
  at::parallel_for(0, static_cast<std::int64_t>(visits.visits.size()) * in.key_value_heads, 4,
                   [&](std::int64_t begin, std::int64_t end) { kernels.attend(in, view, rows, begin, end); });
  at::parallel_for(0, count * in.heads, 64,
                   [&](std::int64_t begin, std::int64_t end) { kernels.merge(in, rows, begin, end); });
}

}  // namespace

bool cpu_can_attend(const Tensor& qkv, std::int64_t head_size) {
  return qkv.device().is_cpu() && head_size % 16 == 0 && head_size <= kWidestHead &&
         (qkv.scalar_type() == at::kFloat || qkv.scalar_type() == at::kBFloat16);
}

Tensor cpu_cached_attention(const Tensor& qkv, const RotaryAttention& o, KeyValueCache& cache,
                            std::span<const std::int32_t> sequence, std::span<const std::int32_t> position,
                            std::span<const std::int32_t> last_seen) {
  RECORD_FUNCTION("omni::cached_attention", std::vector<c10::IValue>());
  const Tensor own = qkv.contiguous();
  const ProjectedHeads projected = projected_heads(own, o);
  const AttentionInputs in =
      inputs_of(o, projected.query, projected.key, projected.value, o.query_norm, o.key_norm);
  const std::int64_t count = own.size(0);
  Tensor output = at::empty({count, o.heads * o.head_size}, own.options());
  if (count == 0) return output;
  std::vector<float> queries(static_cast<std::size_t>(count * o.heads * o.head_size)), partials;
  DecodeRows rows;
  rows.sequence = sequence.data();
  rows.position = position.data();
  rows.last_seen = last_seen.data();
  rows.queries = queries.data();
  rows.output = output.mutable_data_ptr();
  rows.chunks = *std::max_element(last_seen.begin(), last_seen.end()) / kCacheChunk + 1;
  const DecodeCache view = view_of(cache);
  at::parallel_for(0, count * o.key_value_heads, 64, [&](std::int64_t begin, std::int64_t end) {
    decode_attention_kernels().store(in, view, rows, begin, end);
  });
  const std::int64_t partials_per_row = rows.chunks * o.heads * (o.head_size + kPartialTail);
  const std::int64_t batch = std::max<std::int64_t>(1, kMaximumPartials / partials_per_row);
  for (std::int64_t first = 0; first < count; first += batch)
    attend(in, cache, rows, first, std::min(count, first + batch), partials);
  return output;
}

}  // namespace omni::kernels
