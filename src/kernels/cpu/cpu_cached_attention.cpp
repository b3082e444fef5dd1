#include "cpu_cached_attention.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "../projected_heads.h"
#include "cache_visits.h"
#include "cpu_attention_call.h"
#include "cpu_rotary_attention.h"
#include "decode_attention_kernels.h"
#include "omni/kernels/matrix_tiles.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {
namespace {

using at::Tensor;

constexpr std::int64_t kMaximumPartials = 1 << 22;  // numbers of partial results held at a time
// Rows of a sequence from its first token on that are worth laying its keys out anew. Of the sequence alone, so that
// what it gets does not depend on the rows beside it.
constexpr std::int64_t kLongPrompt = kCacheChunk;

// Which rows of a call, and whether they are all that their sequence holds and many.
struct Stretch {
  RowRange rows;
  bool long_prompt = false;
};

std::vector<Stretch> stretches_of(const DecodeRows& rows, std::int64_t count) {
  std::vector<Stretch> stretches;
  for (std::int64_t first = 0, last; first < count; first = last) {
    for (last = first + 1; last < count && rows.sequence[last] == rows.sequence[first] &&
                           rows.position[last] == rows.position[first] + (last - first);)
      ++last;
    const bool long_prompt = rows.position[first] == 0 && last - first >= kLongPrompt;
    if (!long_prompt && !stretches.empty() && !stretches.back().long_prompt)
      stretches.back().rows.last = last;
    else
      stretches.push_back({{first, last}, long_prompt});
  }
  return stretches;
}

// Attention of a prompt's rows over each other's keys, as these came.
Tensor attend_to_each_other(const Tensor& qkv, const RotaryAttention& options, const DecodeRows& rows,
                            const RowRange& range) {
  const std::int64_t count = range.last - range.first;
  const auto own = [&](const Tensor& all) { return all.defined() ? all.narrow(0, range.first, count) : all; };
  RotaryAttention of_range = options;
  of_range.cosine = own(options.cosine);
  of_range.sine = own(options.sine);
  of_range.row_group = own(options.row_group);
  std::vector<std::int32_t> key_first(static_cast<std::size_t>(count), 0), key_last;
  for (std::int64_t row = range.first; row < range.last; ++row) key_last.push_back(rows.last_seen[row] + 1);
  return cpu_rotary_attention(own(qkv), of_range,
                              work_of(AttentionSpans(std::move(key_first), std::move(key_last))));
}

// PyTorch's attention multiplies bf16 by the processor's tiles.
bool library_is_faster(const KeyValueCache& cache, const DecodeRows& rows, const RowRange& range) {
  return has_matrix_tiles() && cache.type() == CacheType::bf16 &&
         std::equal(rows.position + range.first, rows.position + range.last, rows.last_seen + range.first);
}

// The same over the keys as the cache holds them, of a prompt none of whose rows sees later ones.
Tensor attend_by_library(const AttentionInputs& in, const KeyValueCache& cache, const DecodeRows& rows,
                         const RowRange& range) {
  const std::int64_t count = range.last - range.first, sequence = rows.sequence[range.first];
  const auto held = [&](const Tensor& all) {
    return all.narrow(0, sequence, 1).narrow(2, 0, count).repeat_interleave(in.heads / in.key_value_heads, 1);
  };
  const Tensor query = at::from_blob(rows.queries + range.first * in.heads * in.head_size,
                                     {1, count, in.heads, in.head_size}, at::kFloat)
                           .to(at::kBFloat16)
                           .transpose(1, 2);
  return at::scaled_dot_product_attention(query, held(cache.keys()), held(cache.values()), {}, 0.0,
                                          /*is_causal=*/true, /*scale=*/1.0)
      .transpose(1, 2)
      .reshape({count, in.heads * in.head_size});
}

// Attention of the rows [first, last), whose keys are in the cache.
void attend(const AttentionInputs& in, const KeyValueCache& cache, DecodeRows rows, std::int64_t first,
            std::int64_t last, std::vector<float>& partials) {
  const DecodeAttentionKernels kernels = decode_attention_kernels();
  const CacheVisits visits(cache, rows, {first, last});
  const std::int64_t count = last - first;
  visits.give_to(rows);
  partials.resize(static_cast<std::size_t>(count * partials_per_row(rows.chunks, in.heads, in.head_size)));
  rows.partials = partials.data();
  const DecodeCache view = view_of(cache);
  at::parallel_for(0, rows.visit_count * in.key_value_heads, 4,
                   [&](std::int64_t begin, std::int64_t end) { kernels.attend(in, view, rows, begin, end); });
  at::parallel_for(0, count * in.heads, 64,
                   [&](std::int64_t begin, std::int64_t end) { kernels.merge(in, rows, begin, end); });
}

// The same of any number of rows.
void attend_to_cache(const AttentionInputs& in, const KeyValueCache& cache, DecodeRows rows,
                     const RowRange& range, std::vector<float>& partials) {
  const std::int64_t chunks =
      *std::max_element(rows.last_seen + range.first, rows.last_seen + range.last) / kCacheChunk + 1;
  const std::int64_t batch =
      std::max<std::int64_t>(1, kMaximumPartials / partials_per_row(chunks, in.heads, in.head_size));
  for (std::int64_t first = range.first; first < range.last; first += batch)
    attend(in, cache, rows, first, std::min(range.last, first + batch), partials);
}

}  // namespace

bool has_cpu_attention_kernel(at::ScalarType type, std::int64_t head_size) {
  return head_size % 16 == 0 && head_size <= kWidestHead && (type == at::kFloat || type == at::kBFloat16);
}

Tensor cpu_cached_attention(const Tensor& qkv, const RotaryAttention& o, KeyValueCache& cache,
                            std::span<const std::int32_t> sequence, std::span<const std::int32_t> position,
                            std::span<const std::int32_t> last_seen) {
  const ProfiledRange profiled("omni::cached_attention");
  const Tensor own = qkv.contiguous();
  const ProjectedHeads projected = projected_heads(own, o);
  const AttentionInputs in =
      inputs_of(o, projected.query, projected.key, projected.value, o.query_norm, o.key_norm);
  const std::int64_t count = own.size(0);
  Tensor output = at::empty({count, o.heads * o.head_size}, own.options());
  if (count == 0) return output;
  std::vector<float> queries, partials;
  DecodeRows rows;
  rows.sequence = sequence.data();
  rows.position = position.data();
  rows.last_seen = last_seen.data();
  rows.output = output.mutable_data_ptr();
  const DecodeCache view = view_of(cache);
  for (const Stretch& stretch : stretches_of(rows, count)) {
    const RowRange range = stretch.rows;
    const bool by_library = stretch.long_prompt && library_is_faster(cache, rows, range);
    const bool by_kernel = stretch.long_prompt && !by_library;  // which prepares its queries itself
    if (!by_kernel) queries.resize(static_cast<std::size_t>(count * o.heads * o.head_size));
    rows.queries = by_kernel ? nullptr : queries.data();
    at::parallel_for(range.first * o.key_value_heads, range.last * o.key_value_heads, 64,
                     [&](std::int64_t begin, std::int64_t end) {
                       decode_attention_kernels().store(in, view, rows, begin, end);
                     });
    if (!stretch.long_prompt) {
      attend_to_cache(in, cache, rows, range, partials);
      continue;
    }
    output.narrow(0, range.first, range.last - range.first)
        .copy_(by_library ? attend_by_library(in, cache, rows, range)
                          : attend_to_each_other(own, o, rows, range));
  }
  return output;
}

}  // namespace omni::kernels
