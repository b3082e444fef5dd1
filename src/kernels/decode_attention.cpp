#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "cpu/decode_attention_kernels.h"
#include "cuda/cuda_cached_attention.h"
#include "omni/core/error.h"
#include "omni/kernels/decode_attention.h"
#include "projected_heads.h"

namespace omni::kernels {
namespace {

using at::Tensor;

constexpr std::int64_t kMostPartials = 1 << 22;  // numbers of partial results held at a time
constexpr std::int64_t kMostRowsPerVisit = 16;   // so that the work can be dealt out

template <class T>
const T* data_of(const Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<T>() : nullptr;
}

AttentionInputs inputs_of(const Tensor& qkv, const RotaryAttention& o) {
  const ProjectedHeads rows = projected_heads(qkv, o);
  AttentionInputs in;
  in.bf16 = qkv.scalar_type() == at::kBFloat16;
  in.query = rows.query.const_data_ptr();
  in.key = rows.key.const_data_ptr();
  in.value = rows.value.const_data_ptr();
  in.query_stride = in.key_stride = in.value_stride = qkv.size(1);
  in.heads = o.heads;
  in.key_value_heads = o.key_value_heads;
  in.head_size = o.head_size;
  in.cosine = data_of<float>(o.cosine);
  in.sine = data_of<float>(o.sine);
  in.interleaved = o.interleaved;
  in.query_norm = data_of<float>(o.query_norm);
  in.key_norm = data_of<float>(o.key_norm);
  in.row_group = data_of<std::uint8_t>(o.row_group);
  in.groups = o.query_norm.defined() ? o.query_norm.size(0) : 1;
  in.norm_epsilon = static_cast<float>(o.norm_epsilon);
  return in;
}

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
        result.visits.back().chunk != chunk || result.visits.back().row_count == kMostRowsPerVisit)
      result.visits.push_back({holder, chunk, static_cast<std::int64_t>(result.visitors.size()), 0});
    ++result.visits.back().row_count;
    result.visitors.push_back(row);
  }
  return result;
}

void check_places(const Tensor& qkv, const RotaryAttention& o, const KeyValueCache& cache,
                  std::span<const std::int32_t> sequence, std::span<const std::int32_t> position,
                  std::span<const std::int32_t> last_seen) {
  const auto rows = static_cast<std::size_t>(qkv.size(0));
  ensure(sequence.size() == rows && position.size() == rows && last_seen.size() == rows,
         "cached attention: one place per row");
  ensure(o.key_value_heads == cache.key_value_heads() && o.head_size == cache.head_size() &&
             qkv.size(1) == (o.heads + 2 * o.key_value_heads) * o.head_size,
         "cached attention: the cache has other heads than the rows");
  for (std::size_t i = 0; i < rows; ++i) {
    ensure(sequence[i] >= 0 && sequence[i] < cache.sequences() && position[i] >= 0 &&
               position[i] <= last_seen[i] && last_seen[i] < cache.capacity(),
           "cached attention: row ", i, " lies outside the cache");
    ensure(cache.holder(sequence[i], position[i] / kCacheChunk) == sequence[i], "cached attention: row ", i,
           " would overwrite a shared prefix");
  }
}

bool has_kernel(const Tensor& qkv, std::int64_t head_size) {
  return qkv.device().is_cpu() && head_size % 16 == 0 && head_size <= kWidestHead &&
         (qkv.scalar_type() == at::kFloat || qkv.scalar_type() == at::kBFloat16);
}

// Attention of the rows [first, last), whose keys are in the cache.
void attend(const AttentionInputs& in, const KeyValueCache& cache, DecodeRows rows, std::int64_t first,
            std::int64_t last, std::vector<float>& partials) {
  const DecodeKernels kernels = decode_kernels();
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

Tensor cached_attention(const Tensor& qkv, const RotaryAttention& o, KeyValueCache& cache,
                        std::span<const std::int32_t> sequence, std::span<const std::int32_t> position,
                        std::span<const std::int32_t> last_seen) {
  const c10::NoGradGuard no_gradient;
  if (last_seen.empty()) last_seen = position;
  check_places(qkv, o, cache, sequence, position, last_seen);
  if (const std::optional<Tensor> done = cuda_cached_attention(qkv, o, cache, sequence, position, last_seen))
    return *done;
  if (!has_kernel(qkv, o.head_size))
    return cached_attention_reference(qkv, o, cache, sequence, position, last_seen);
  RECORD_FUNCTION("omni::cached_attention", std::vector<c10::IValue>());
  const Tensor own = qkv.contiguous();
  const AttentionInputs in = inputs_of(own, o);
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
    decode_kernels().store(in, view, rows, begin, end);
  });
  const std::int64_t partials_per_row = rows.chunks * o.heads * (o.head_size + kPartialTail);
  const std::int64_t batch = std::max<std::int64_t>(1, kMostPartials / partials_per_row);
  for (std::int64_t first = 0; first < count; first += batch)
    attend(in, cache, rows, first, std::min(count, first + batch), partials);
  return output;
}

Tensor cached_attention_reference(const Tensor& qkv, const RotaryAttention& o, KeyValueCache& cache,
                                  std::span<const std::int32_t> sequence,
                                  std::span<const std::int32_t> position,
                                  std::span<const std::int32_t> last_seen) {
  const c10::NoGradGuard no_gradient;
  if (last_seen.empty()) last_seen = position;
  check_places(qkv, o, cache, sequence, position, last_seen);
  if (qkv.size(0) == 0) return at::empty({0, o.heads * o.head_size}, qkv.options());
  const ProjectedHeads rows = projected_heads(qkv.contiguous(), o);
  const auto held = cache.keys().options().dtype(at::kFloat);
  const Tensor query = norm_and_rotate(rows.query, o, o.query_norm).to(held);
  const Tensor key = norm_and_rotate(rows.key, o, o.key_norm).to(held);
  const Tensor value = rows.value.to(held);
  for (std::int64_t i = 0; i < qkv.size(0); ++i) cache.write(sequence[i], position[i], key[i], value[i]);
  const std::int64_t group = o.heads / o.key_value_heads;
  const double scale = 1.0 / std::sqrt(static_cast<double>(o.head_size));
  std::vector<Tensor> outputs;
  for (std::int64_t i = 0; i < qkv.size(0); ++i) {
    const auto past = [&](const Tensor& all) { return all.repeat_interleave(group, 0); };
    const std::int64_t count = last_seen[i] + 1;
    const Tensor scores =
        at::matmul(past(cache.read_keys(sequence[i], count)), query[i].unsqueeze(2)) * scale;
    outputs.push_back((scores.softmax(1) * past(cache.read_values(sequence[i], count))).sum(1).flatten());
  }
  return at::stack(outputs).to(qkv.options());
}

}  // namespace omni::kernels
