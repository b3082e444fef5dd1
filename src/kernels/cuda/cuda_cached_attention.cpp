#include "cuda_cached_attention.h"

#include <algorithm>
#include <mutex>

#include "../projected_heads.h"
#include "decode_attention_interface.h"
#include "omni/core/log.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// The chunks at the start of a row that another sequence holds.
struct SharedStart {
  std::int32_t holder = 0, chunks = 0;  // the row's own sequence where there are none
};

std::optional<SharedStart> shared_start(const KeyValueCache& cache, std::int32_t sequence,
                                        std::int32_t last_seen) {
  const auto chunks = static_cast<std::int32_t>(last_seen / kCacheChunk + 1);
  SharedStart start{sequence, 0};
  for (std::int32_t c = 0; c < chunks; ++c) {
    const std::int32_t holder = cache.holder(sequence, c);
    if (holder == sequence) continue;
    if (c != start.chunks || (c > 0 && holder != start.holder)) return std::nullopt;
    start = {holder, c + 1};
  }
  if (start.chunks * kCacheChunk > last_seen + 1) return std::nullopt;  // ends inside what it shares
  return start;
}

// The rows from `first` on that read the same start from the same sequence, and how many chunks that is.
struct Group {
  std::size_t rows = 1;
  SharedStart start;
};

Group group_at(std::size_t first, std::span<const SharedStart> starts,
               std::span<const std::int32_t> last_seen, std::size_t maximum_rows) {
  Group group{1, starts[first]};
  for (std::size_t i = first + 1; i < starts.size() && group.rows < maximum_rows; ++i) {
    SharedStart wanted = starts[i];
    const bool holds_it_all = wanted.chunks == 0;
    if (holds_it_all) wanted.chunks = group.start.chunks;
    if (group.start.chunks == 0) group.start.chunks = wanted.chunks;  // of what its first row holds itself
    const bool same =
        wanted.chunks > 0 && wanted.holder == group.start.holder && wanted.chunks == group.start.chunks;
    const std::int64_t shared = wanted.chunks * kCacheChunk;
    if (!same || last_seen[i] + 1 < shared || last_seen[first] + 1 < shared) {
      if (group.rows == 1) group.start = starts[first];
      break;
    }
    ++group.rows;
  }
  return group;
}

void say_once(const std::string& refusal) {
  static std::once_flag said;
  std::call_once(said, [&] {
    log_debug("attention over a cache on a GPU runs through tensor operations, because ", refusal);
  });
}

}  // namespace

std::optional<std::vector<CudaDecodePlace>> cuda_decode_places(const KeyValueCache& cache,
                                                               std::span<const std::int32_t> sequence,
                                                               std::span<const std::int32_t> last_seen,
                                                               std::int64_t heads_per_key) {
  std::vector<SharedStart> starts;
  for (std::size_t i = 0; i < sequence.size(); ++i) {
    const std::optional<SharedStart> start = shared_start(cache, sequence[i], last_seen[i]);
    if (!start) return std::nullopt;
    starts.push_back(*start);
  }
  const auto maximum_rows =
      static_cast<std::size_t>(std::max<std::int64_t>(1, kOmniCudaMostGroupQueries / heads_per_key));
  std::vector<CudaDecodePlace> places;
  while (places.size() < sequence.size()) {
    const std::size_t first = places.size();
    const Group group = group_at(first, starts, last_seen, maximum_rows);
    for (std::size_t i = first; i < first + group.rows; ++i)
      places.push_back({sequence[i], last_seen[i], static_cast<std::int32_t>(first),
                        static_cast<std::int32_t>(group.rows),
                        static_cast<std::int32_t>(group.start.chunks * kCacheChunk), group.start.holder});
  }
  return places;
}

std::optional<Tensor> cuda_cached_attention(const Tensor& qkv, const RotaryAttention& o, KeyValueCache& cache,
                                            std::span<const std::int32_t> sequence,
                                            std::span<const std::int32_t> position,
                                            std::span<const std::int32_t> last_seen) {
  if (!qkv.is_cuda() || qkv.size(0) == 0) return std::nullopt;
  const std::int64_t heads_per_key = o.heads / o.key_value_heads;
  const auto places = cuda_decode_places(cache, sequence, last_seen, heads_per_key);
  if (!places) {
    say_once("a prefix is held by several sequences");
    return std::nullopt;
  }
  std::vector<CudaDecodePlace> targets;
  for (std::size_t i = 0; i < sequence.size(); ++i)
    targets.push_back({sequence[i], position[i], static_cast<std::int32_t>(i), 1, 0, sequence[i]});
  const ProjectedHeads rows = projected_heads(qkv, o);
  CudaDecodeAttention call;
  call.query = norm_and_rotate(rows.query, o, o.query_norm).contiguous();
  call.keys = cache.keys();
  call.values = cache.values();
  call.key_scales = cache.key_scales();
  call.value_scales = cache.value_scales();
  call.keys_per_split = kCacheChunk;
  call.maximum_splits = *std::max_element(last_seen.begin(), last_seen.end()) / kCacheChunk + 1;
  call.rows = cuda_decode_rows(targets, heads_per_key, call.keys_per_split, qkv.device());
  if (const std::string refusal = cuda_decode_refusal(call); !refusal.empty()) {
    say_once(refusal);
    return std::nullopt;
  }
  const Tensor key = norm_and_rotate(rows.key, o, o.key_norm).contiguous();
  cuda_cache_write(key, rows.value.contiguous(), call);
  call.rows = cuda_decode_rows(*places, heads_per_key, call.keys_per_split, qkv.device());
  return cuda_decode_attention(call, cuda_decode_workspace(call)).flatten(1);
}

}  // namespace omni::kernels
