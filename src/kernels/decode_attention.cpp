#include "omni/kernels/decode_attention.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "cpu/cpu_cached_attention.h"
#include "cuda/cuda_cached_attention.h"
#include "omni/core/error.h"
#include "projected_heads.h"

namespace omni::kernels {
namespace {

using at::Tensor;

void check_places(const Tensor& qkv, const RotaryAttention& o, const KeyValueCache& cache,
                  std::span<const std::int32_t> sequence, std::span<const std::int32_t> position,
                  std::span<const std::int32_t> last_seen) {
  ensure(static_cast<std::int64_t>(sequence.size()) == qkv.size(0), "cached attention: one place per row");
  ensure(o.key_value_heads == cache.key_value_heads() && o.head_size == cache.head_size() &&
             qkv.size(1) == (o.heads + 2 * o.key_value_heads) * o.head_size,
         "cached attention: the cache has other heads than the rows");
  cache.check_places(sequence, position, last_seen);
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
  if (!cpu_can_attend(qkv, o.head_size))
    return cached_attention_reference(qkv, o, cache, sequence, position, last_seen);
  return cpu_cached_attention(qkv, o, cache, sequence, position, last_seen);
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
