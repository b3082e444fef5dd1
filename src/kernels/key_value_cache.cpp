#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "omni/core/error.h"
#include "omni/kernels/decode_attention.h"

namespace omni::kernels {
namespace {

using at::Tensor;

at::ScalarType stored_type(CacheType type) {
  switch (type) {
    case CacheType::fp32:
      return at::kFloat;
    case CacheType::bf16:
      return at::kBFloat16;
    case CacheType::int8:
      return at::kChar;
  }
  fail(ErrorKind::internal, "internal error: an unknown cache type");
}

}  // namespace

KeyValueCache::KeyValueCache(std::int64_t sequences, std::int64_t key_value_heads, std::int64_t capacity,
                             std::int64_t head_size, CacheType type, at::Device device)
    : capacity_(capacity), chunks_((capacity + kCacheChunk - 1) / kCacheChunk), type_(type) {
  ensure(sequences > 0 && key_value_heads > 0 && capacity > 0 && head_size > 0, "a cache needs room");
  const std::vector<std::int64_t> places = {sequences, key_value_heads, chunks_ * kCacheChunk};
  std::vector<std::int64_t> sizes = places;
  sizes.push_back(head_size);
  const auto options = at::TensorOptions().device(device);
  keys_ = at::zeros(sizes, options.dtype(stored_type(type)));
  values_ = at::zeros_like(keys_);
  if (type == CacheType::int8) {
    key_scales_ = at::zeros(places, options.dtype(at::kFloat));
    value_scales_ = at::zeros_like(key_scales_);
  }
  for (std::int64_t s = 0; s < sequences; ++s)
    holders_.insert(holders_.end(), static_cast<std::size_t>(chunks_), static_cast<std::int32_t>(s));
}

std::vector<Tensor> KeyValueCache::stores() const {
  if (type_ != CacheType::int8) return {keys_, values_};
  return {keys_, values_, key_scales_, value_scales_};
}

void KeyValueCache::share_prefix(std::int64_t from, std::int64_t to, std::int64_t count) {
  ensure(from >= 0 && from < sequences() && to >= 0 && to < sequences() && count >= 0 && count <= capacity_,
         "a shared prefix lies outside the cache");
  if (from == to) return;
  const c10::NoGradGuard no_gradient;
  release(to);
  const bool one_holder = !keys_.device().is_cpu();
  std::int64_t shared = 0;
  while (shared < count / kCacheChunk && (!one_holder || holder(from, shared) == holder(from, 0))) {
    holders_[static_cast<std::size_t>(to * chunks_ + shared)] = holder(from, shared);
    ++shared;
  }
  for (std::int64_t first = shared * kCacheChunk; first < count; first += kCacheChunk) {
    const std::int64_t source = holder(from, first / kCacheChunk),
                       size = std::min(kCacheChunk, count - first);
    for (const Tensor& store : stores())
      store[to].narrow(1, first, size).copy_(store[source].narrow(1, first, size));
  }
}

void KeyValueCache::release(std::int64_t sequence) {
  const c10::NoGradGuard no_gradient;
  for (std::int64_t c = 0; c < chunks_; ++c) {
    // The first of those that share the chunk takes it over.
    std::int64_t heir = -1;
    for (std::int64_t s = 0; s < sequences(); ++s) {
      if (s == sequence || holder(s, c) != sequence) continue;
      if (heir < 0) {
        heir = s;
        for (const Tensor& store : stores())
          store[s]
              .narrow(1, c * kCacheChunk, kCacheChunk)
              .copy_(store[sequence].narrow(1, c * kCacheChunk, kCacheChunk));
      }
      holders_[static_cast<std::size_t>(s * chunks_ + c)] = static_cast<std::int32_t>(heir);
    }
    holders_[static_cast<std::size_t>(sequence * chunks_ + c)] = static_cast<std::int32_t>(sequence);
  }
}

void KeyValueCache::check_places(std::span<const std::int32_t> sequence,
                                 std::span<const std::int32_t> position,
                                 std::span<const std::int32_t> last_seen) const {
  ensure(position.size() == sequence.size() && last_seen.size() == sequence.size(),
         "cached attention: one place per row");
  for (std::size_t i = 0; i < sequence.size(); ++i) {
    ensure(sequence[i] >= 0 && sequence[i] < sequences() && position[i] >= 0 && position[i] <= last_seen[i] &&
               last_seen[i] < capacity_,
           "cached attention: row ", i, " lies outside the cache");
    ensure(holder(sequence[i], position[i] / kCacheChunk) == sequence[i], "cached attention: row ", i,
           " would overwrite a shared prefix");
  }
}

void KeyValueCache::write(std::int64_t sequence, std::int64_t position, const Tensor& key,
                          const Tensor& value) {
  const c10::NoGradGuard no_gradient;
  ensure(holder(sequence, position / kCacheChunk) == sequence, "a shared chunk of a cache is read only");
  const auto put = [&](const Tensor& store, const Tensor& scales, const Tensor& x) {
    const Tensor target = store[sequence].select(1, position);
    if (type_ != CacheType::int8) {
      target.copy_(x);
      return;
    }
    const Tensor scale = x.abs().amax(1) / 127;
    scales[sequence].select(1, position).copy_(scale);
    target.copy_((x / scale.unsqueeze(1).clamp_min(1e-30)).round());
  };
  put(keys_, key_scales_, key);
  put(values_, value_scales_, value);
}

Tensor KeyValueCache::read(const Tensor& store, const Tensor& scales, std::int64_t sequence,
                           std::int64_t count) const {
  std::vector<Tensor> parts;
  for (std::int64_t first = 0; first < count; first += kCacheChunk) {
    const std::int64_t source = holder(sequence, first / kCacheChunk),
                       size = std::min(kCacheChunk, count - first);
    Tensor part = store[source].narrow(1, first, size).to(at::kFloat);
    if (scales.defined()) part = part * scales[source].narrow(1, first, size).unsqueeze(2);
    parts.push_back(part);
  }
  if (parts.empty()) return at::empty({key_value_heads(), 0, head_size()}, keys_.options().dtype(at::kFloat));
  return at::concat(parts, 1);
}

Tensor KeyValueCache::read_keys(std::int64_t sequence, std::int64_t count) const {
  return read(keys_, key_scales_, sequence, count);
}
Tensor KeyValueCache::read_values(std::int64_t sequence, std::int64_t count) const {
  return read(values_, value_scales_, sequence, count);
}

}  // namespace omni::kernels
