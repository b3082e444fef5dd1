#pragma once

#include <ATen/Parallel.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstdint>
#include <vector>

#include "omni/kernels/tensor.h"
#include "timing.h"

namespace omni::benchmark {

#if defined(__x86_64__)
__attribute__((target("avx512f"))) inline std::int64_t read_wide(const char* data, std::int64_t bytes) {
  __m512i sums[4] = {};
  for (std::int64_t i = 0; i + 256 <= bytes; i += 256)
    for (int v = 0; v < 4; ++v) sums[v] = _mm512_xor_si512(sums[v], _mm512_loadu_si512(data + i + 64 * v));
  std::int64_t lanes[8];
  _mm512_storeu_si512(
      lanes, _mm512_xor_si512(_mm512_xor_si512(sums[0], sums[1]), _mm512_xor_si512(sums[2], sums[3])));
  std::int64_t total = 0;
  for (const std::int64_t lane : lanes) total ^= lane;
  return total;
}
#endif

inline std::int64_t read_plain(const char* data, std::int64_t bytes) {
  std::int64_t sums[8] = {};
  const auto* words = reinterpret_cast<const std::int64_t*>(data);
  for (std::int64_t i = 0; i + 8 <= bytes / 8; i += 8)
    for (int v = 0; v < 8; ++v) sums[v] ^= words[i + v];
  std::int64_t total = 0;
  for (const std::int64_t s : sums) total ^= s;
  return total;
}

inline std::int64_t read_bytes(const char* data, std::int64_t bytes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return read_wide(data, bytes);
#endif
  return read_plain(data, bytes);
}

// Reads the bytes as fast as the machine can, one run of them per thread.
inline void read_all(const at::Tensor& bytes) {
  const auto* data = static_cast<const char*>(bytes.const_data_ptr());
  std::vector<std::int64_t> kept(at::get_num_threads());
  const std::int64_t share = bytes.numel() / static_cast<std::int64_t>(kept.size()) / 64 * 64;
  at::parallel_for(0, static_cast<std::int64_t>(kept.size()), 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t t = first; t < last; ++t) kept[t] = read_bytes(data + t * share, share);
  });
  volatile std::int64_t sink = kept[0];
  (void)sink;
}

// Bytes per second of a plain read, the fastest of several pieces that no cache holds.
inline double read_rate() {
  constexpr std::int64_t kPiece = std::int64_t{256} << 20;
  const at::Tensor piece = at::ones({kPiece}, at::kByte);
  double best = 0;
  for (int i = 0; i < 10; ++i) {
    const double start = seconds();
    read_all(piece);
    best = std::max(best, static_cast<double>(kPiece) / (seconds() - start));
  }
  return best;
}

}  // namespace omni::benchmark
