// One new token per sequence against a long cache, against a plain read of the same keys and values by the
// same threads and against PyTorch's scaled_dot_product_attention over the batch, which reads a shared prompt
// once per sample.
//   decode_attention [rounds]
// The ladder (8 sequences of 2,048 tokens, 12 heads of 64, one thread of a busy machine, us):
//   every row reads its keys, then its values, whole; fp32               6,500 to 8,100
//   chunks of 128 keys, four keys at a time, chunk by chunk over heads  16,000
//   the same head by head                                                7,500
//   key by key: one ascending run of addresses                           5,700
//   bf16, int8                                                           2,000, 1,440
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <cstdlib>

#include "gpu_timing.h"
#include "memory_read.h"
#include "omni/kernels/cuda_decode_attention.h"
#include "omni/kernels/decode_attention.h"
#include "omni/kernels/tensor.h"

namespace {

using namespace omni;
using at::Tensor;
using kernels::CacheType;

struct Shape {
  std::int64_t sequences, length, heads, key_value_heads, head_size, shared;
};

// seconds: of the kernel, of a read of as many bytes, of the library's call.
void print_line(const char* name, const Shape& s, const char* cache, std::int64_t bytes,
                const std::vector<double>& seconds) {
  benchmark::Line(name)
      .add("cache", std::string(cache))
      .add("sequences", s.sequences)
      .add("tokens", s.length)
      .add("shared", s.shared)
      .add("heads", s.heads)
      .add("key_value_heads", s.key_value_heads)
      .add("head_size", s.head_size)
      .add("us", seconds[0] * 1e6)
      .add("gigabytes_per_s", 1e-9 * static_cast<double>(bytes) / seconds[0])
      .add("share_of_read", seconds[1] / seconds[0])
      .add("library_ratio", seconds[2] / seconds[0])
      .print();
}

void measure(const Shape& s, CacheType type, int rounds) {
  at::manual_seed(1);
  const char* names[] = {"fp32", "bf16", "int8"};
  const at::ScalarType row_type = type == CacheType::fp32 ? at::kFloat : at::kBFloat16;
  kernels::RotaryAttention options;
  options.heads = s.heads;
  options.key_value_heads = s.key_value_heads;
  options.head_size = s.head_size;
  const std::int64_t width = (s.heads + 2 * s.key_value_heads) * s.head_size;
  kernels::KeyValueCache cache(s.sequences, s.key_value_heads, s.length, s.head_size, type);
  for (const Tensor& store : {cache.keys(), cache.values()})
    type == CacheType::int8 ? Tensor(store).random_(-127, 128) : Tensor(store).normal_();
  for (const Tensor& scales : {cache.key_scales(), cache.value_scales()})
    if (scales.defined()) Tensor(scales).fill_(1.0 / 64);
  for (std::int64_t q = 1; q < s.sequences; ++q) cache.share_prefix(0, q, s.shared);
  const Tensor rows = at::randn({s.sequences, width}).to(row_type);
  std::vector<std::int32_t> sequence, position(s.sequences, static_cast<std::int32_t>(s.length - 1));
  for (std::int64_t q = 0; q < s.sequences; ++q) sequence.push_back(static_cast<std::int32_t>(q));
  const std::int64_t element = type == CacheType::fp32 ? 4 : type == CacheType::bf16 ? 2 : 1;
  const std::int64_t tokens = s.shared + s.sequences * (s.length - s.shared);
  const std::int64_t bytes =
      2 * tokens * s.key_value_heads * (s.head_size * element + (element == 1 ? 4 : 0));
  const Tensor plain = at::ones({bytes}, at::kByte);
  const Tensor query =
      rows.narrow(1, 0, s.heads * s.head_size).reshape({s.sequences, s.heads, 1, s.head_size});
  std::vector<Tensor> all_keys, all_values;
  for (std::int64_t q = 0; q < s.sequences; ++q) {
    all_keys.push_back(cache.read_keys(q, s.length).to(row_type));
    all_values.push_back(cache.read_values(q, s.length).to(row_type));
  }
  const Tensor keys = at::stack(all_keys), values = at::stack(all_values);
  const std::vector<double> seconds = benchmark::fastest(
      {[&] { kernels::cached_attention(rows, options, cache, sequence, position); },
       [&] { benchmark::read_all(plain); },
       [&] { at::scaled_dot_product_attention(query, keys, values, {}, 0.0, false, {}, true); }},
      rounds);
  print_line("decode_attention", s, names[static_cast<int>(type)], bytes, seconds);
}

// The same on the GPU, against the sum of as many bytes, which reads them once.
void measure_on_gpu(const Shape& s, at::ScalarType type, int rounds) {
  const at::Device device = benchmark::device();
  const std::vector<std::int64_t> sizes = {s.sequences, s.key_value_heads, s.length, s.head_size};
  const auto halves = at::TensorOptions(at::kBFloat16).device(device), floats = halves.dtype(at::kFloat);
  kernels::CudaDecodeAttention call;
  call.query = at::randn({s.sequences, s.heads, s.head_size}, halves);
  const Tensor keys = at::randn(sizes, halves), values = at::randn(sizes, halves);
  const bool bytes = type != at::kBFloat16;
  call.keys = bytes ? (keys * 30).to(type) : keys;
  call.values = bytes ? (values * 30).to(type) : values;
  if (bytes) {
    call.key_scales = at::full({s.sequences, s.key_value_heads, s.length}, 1.0 / 30, floats);
    call.value_scales = call.key_scales.clone();
  }
  std::vector<kernels::CudaDecodePlace> places;
  const std::int32_t group = s.shared > 0 ? static_cast<std::int32_t>(s.sequences) : 1;
  for (std::int32_t r = 0; r < s.sequences; ++r)
    places.push_back({r, static_cast<std::int32_t>(s.length - 1), r / group * group, group,
                      static_cast<std::int32_t>(s.shared), r / group * group});
  call.rows = kernels::cuda_decode_rows(places, s.heads / s.key_value_heads, call.keys_per_split, device);
  call.maximum_splits = (s.length + call.keys_per_split - 1) / call.keys_per_split;
  const Tensor workspace = kernels::cuda_decode_workspace(call);
  const std::int64_t tokens = s.shared + s.sequences * (s.length - s.shared);
  const std::int64_t read = 2 * tokens * s.key_value_heads * (bytes ? s.head_size + 4 : 2 * s.head_size);
  const Tensor plain = at::ones({read / 4}, floats);
  const Tensor query = call.query.unsqueeze(2);
  const std::vector<double> seconds = benchmark::fastest_on_gpu(
      {[&] { kernels::cuda_decode_attention(call, workspace); }, [&] { plain.sum(); },
       [&] { at::scaled_dot_product_attention(query, keys, values, {}, 0.0, false, {}, true); }},
      rounds);
  print_line("decode_attention_gpu", s, c10::toString(type), read, seconds);
}

}  // namespace

int main(int argc, char** argv) {
  const c10::NoGradGuard guard;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  const bool gpu = benchmark::device().is_cuda();
  std::printf("decode attention, %d threads\n", at::get_num_threads());
  if (gpu) {
    for (const at::ScalarType type : {at::kBFloat16, at::kChar}) {
      measure_on_gpu({1, 4096, 32, 8, 128, 0}, type, 5);
      measure_on_gpu({8, 4096, 32, 8, 128, 0}, type, 5);
      measure_on_gpu({8, 4096, 32, 8, 128, 3840}, type, 5);
      measure_on_gpu({64, 4096, 32, 8, 128, 0}, type, 5);
      measure_on_gpu({8, 32768, 32, 8, 128, 0}, type, 5);
      measure_on_gpu({8, 4096, 12, 12, 64, 0}, type, 5);
    }
    return 0;
  }
  for (const CacheType type : {CacheType::fp32, CacheType::bf16, CacheType::int8}) {
    measure({1, 4096, 32, 8, 128, 0}, type, rounds);
    measure({8, 4096, 32, 8, 128, 0}, type, rounds);
    measure({8, 4096, 32, 8, 128, 3840}, type, rounds);
    measure({8, 4096, 12, 12, 64, 0}, type, rounds);
    measure({64, 160, 4, 4, 32, 0}, type, 5 * rounds);
  }
  return 0;
}
