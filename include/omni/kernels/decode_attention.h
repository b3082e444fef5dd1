#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "omni/kernels/cache_type.h"
#include "omni/kernels/rotary_attention.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Keys and values of past tokens of several sequences, for decoding. Sequences that start alike share memory:
// see share_prefix(). Not copyable: attention reads and writes it in place.
class KeyValueCache {
 public:
  KeyValueCache(std::int64_t sequences, std::int64_t key_value_heads, std::int64_t capacity,
                std::int64_t head_size, CacheType type = CacheType::fp32, at::Device device = at::kCPU);
  KeyValueCache(KeyValueCache&&) = default;
  KeyValueCache& operator=(KeyValueCache&&) = default;

  std::int64_t sequences() const { return keys_.size(0); }
  std::int64_t key_value_heads() const { return keys_.size(1); }
  std::int64_t capacity() const { return capacity_; }
  std::int64_t head_size() const { return keys_.size(3); }
  CacheType type() const { return type_; }

  // Makes the first `count` tokens of `from` those of `to`, whose own are dropped. Whole chunks are not
  // copied but read where they are, once for all sequences that share them (on a GPU those at the start that
  // one sequence holds).
  void share_prefix(std::int64_t from, std::int64_t to, std::int64_t count);
  // To be called before a sequence starts anew: copies what other sequences share with it to them.
  void release(std::int64_t sequence);

  // Throws Error(internal) for rows that lie outside, or would overwrite what sequences share.
  void check_places(std::span<const std::int32_t> sequence, std::span<const std::int32_t> position,
                    std::span<const std::int32_t> last_seen) const;

  // Writes one token of one sequence: [key_value_heads, head_size] fp32. Its chunk must be its own.
  void write(std::int64_t sequence, std::int64_t position, const at::Tensor& key, const at::Tensor& value);
  // The first `count` tokens: [key_value_heads, count, head_size] fp32, as attention sees them.
  at::Tensor read_keys(std::int64_t sequence, std::int64_t count) const;
  at::Tensor read_values(std::int64_t sequence, std::int64_t count) const;

  // [sequences, key_value_heads, whole chunks * kCacheChunk, head_size] fp32, bf16 or int8; scales
  // [sequences, key_value_heads, whole chunks * kCacheChunk] fp32, undefined unless int8.
  const at::Tensor& keys() const { return keys_; }
  const at::Tensor& values() const { return values_; }
  const at::Tensor& key_scales() const { return key_scales_; }
  const at::Tensor& value_scales() const { return value_scales_; }
  // The sequence that holds a chunk of a sequence: itself, or another one that it shares it with.
  std::int32_t holder(std::int64_t sequence, std::int64_t chunk) const {
    return holders_[static_cast<std::size_t>(sequence * chunks_ + chunk)];
  }

 private:
  std::vector<at::Tensor> stores() const;
  at::Tensor read(const at::Tensor& store, const at::Tensor& scales, std::int64_t sequence,
                  std::int64_t count) const;

  std::int64_t capacity_, chunks_;
  CacheType type_;
  at::Tensor keys_, values_, key_scales_, value_scales_;
  std::vector<std::int32_t> holders_;  // [sequences, chunks]
};

// Attention of new rows over a cache, which receives their keys and values first. qkv [N, (heads + 2 *
// key_value_heads) * head_size] as for rotary_attention; row i is token number position[i] of sequence[i] (on
// the CPU) and sees tokens 0 .. last_seen[i], which is position[i] where none are given; later tokens that it
// sees must be among these rows. -> [N, heads * head_size] in the type of qkv. No gradients. The cache, on
// the device of qkv, is read in chunks of fixed size whose partial softmaxes are merged in order
// ("flash decoding", Dao et al. 2023), so on the CPU a row's result depends on neither the thread count nor
// the rows beside it. On the CPU a sequence's first rows, where they come together and are a chunk or more, are
// attended to in blocks of many rows (on processors with bf16 tiles by PyTorch where the cache holds bf16).
// Calls that no kernel takes (CPU: head sizes that are not multiples of 16; CUDA: all but bf16 and fp16 rows
// over a cache in bf16 or int8) run through tensor operations.
at::Tensor cached_attention(const at::Tensor& qkv, const RotaryAttention& options, KeyValueCache& cache,
                            std::span<const std::int32_t> sequence, std::span<const std::int32_t> position,
                            std::span<const std::int32_t> last_seen = {});

// The same through plain tensor operations, row by row: the reference for tests.
at::Tensor cached_attention_reference(const at::Tensor& qkv, const RotaryAttention& options,
                                      KeyValueCache& cache, std::span<const std::int32_t> sequence,
                                      std::span<const std::int32_t> position,
                                      std::span<const std::int32_t> last_seen = {});

}  // namespace omni::kernels
