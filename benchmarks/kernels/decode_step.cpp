// A decoding step of a whole transformer on a GPU, as a graph and launch by launch, against the sum of as many
// bytes as its weights have, which reads them once. Nothing is drawn.
//   decode_step [rounds]
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "gpu_timing.h"
#include "omni/kernels/cuda_decode_step.h"
#include "omni/kernels/tensor.h"

namespace {

using namespace omni;
using at::Tensor;
using kernels::CacheType;
using kernels::DecodeFormat;

// Cube3D v0.5's blocks, all of one stream.
struct Shape {
  std::int64_t layers = 24, width = 1536, heads = 12, head_size = 128, inner = 4096;
  std::int64_t length = 1024;  // tokens in the cache
};

std::int64_t bytes_of(const kernels::CudaDecodeMatrix& matrix) {
  return matrix.weight.numel() * matrix.weight.element_size();
}

kernels::CudaDecodeMatrix random_matrix(std::int64_t outputs, std::int64_t inputs, DecodeFormat format,
                                        const at::Device& device) {
  const Tensor weight = at::randn({outputs, inputs}, at::TensorOptions(at::kFloat).device(device))
                            .div_(std::sqrt(static_cast<double>(inputs)));
  return kernels::cuda_decode_matrix(weight, weight.to(at::kBFloat16), {}, format);
}

kernels::CudaDecodeNetwork network_of(const Shape& s, DecodeFormat format,
                                      std::vector<kernels::KeyValueCache>& caches, const at::Device& device) {
  kernels::CudaDecodeNetwork network;
  for (kernels::KeyValueCache& cache : caches) {
    kernels::CudaDecodeLayer layer;
    layer.qkv = random_matrix(3 * s.heads * s.head_size, s.width, format, device);
    layer.attention_out = random_matrix(s.width, s.heads * s.head_size, format, device);
    layer.gate_up = random_matrix(2 * s.inner, s.width, format, device);
    layer.down = random_matrix(s.width, s.inner, format, device);
    layer.cache = &cache;
    network.layers.push_back(std::move(layer));
  }
  network.token_rows = at::randn({1024, s.width}, at::TensorOptions(at::kFloat).device(device));
  network.heads = network.key_value_heads = s.heads;
  network.head_size = s.head_size;
  network.inner = s.inner;
  network.norm_epsilon = network.head_norm_epsilon = 1e-5;
  return network;
}

void measure(const Shape& s, DecodeFormat format, std::int32_t rows, int rounds) {
  const at::Device device = benchmark::device();
  const bool bytes = format == DecodeFormat::int8;
  std::vector<kernels::KeyValueCache> caches;
  for (std::int64_t i = 0; i < s.layers; ++i)
    caches.emplace_back(rows, s.heads, s.length, s.head_size, bytes ? CacheType::int8 : CacheType::bf16,
                        device);
  const kernels::CudaDecodeNetwork network = network_of(s, format, caches, device);
  std::int64_t read = 0;
  for (const kernels::CudaDecodeLayer& l : network.layers)
    read += bytes_of(l.qkv) + bytes_of(l.attention_out) + bytes_of(l.gate_up) + bytes_of(l.down);
  std::vector<kernels::CudaDecodeStepRow> step;
  for (std::int32_t r = 0; r < rows; ++r) {
    kernels::CudaDecodeStepRow row;
    row.token = 5 + r;
    row.first = row.second = {r, static_cast<std::int32_t>(s.length - 1), r, 1, 0, r};
    row.cosine.assign(static_cast<std::size_t>(s.head_size / 2), 0.8f);
    row.sine.assign(static_cast<std::size_t>(s.head_size / 2), 0.6f);
    step.push_back(std::move(row));
  }
  kernels::CudaDecodeStep graph(network), plain(network, kernels::CudaDecodeStep::Launches::plain);
  graph.run(step);
  const bool equal = at::equal(graph.run(step), plain.run(step));
  const Tensor weights = at::ones({read / 4}, at::TensorOptions(at::kFloat).device(device));
  const std::vector<double> seconds = benchmark::fastest_on_gpu(
      {[&] { graph.run(step); }, [&] { plain.run(step); }, [&] { weights.sum(); }}, rounds);
  benchmark::Line("decode_step_gpu")
      .add("weights", std::string(bytes ? "int8" : "bf16"))
      .add("rows", std::int64_t{rows})
      .add("tokens", s.length)
      .add("graph", std::string(graph.ran_graph() ? "yes" : "no"))
      .add("graph_equals_plain", std::string(equal ? "yes" : "no"))
      .add("us", seconds[0] * 1e6)
      .add("plain_us", seconds[1] * 1e6)
      .add("steps_per_s", 1 / seconds[0])
      .add("gigabytes_per_s", 1e-9 * static_cast<double>(read) / seconds[0])
      .add("share_of_read", seconds[2] / seconds[0])
      .print();
}

}  // namespace

int main(int argc, char** argv) {
  const c10::NoGradGuard guard;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  if (!benchmark::device().is_cuda()) {
    std::printf("decode step: a processor has none, see decode_linear and decode_attention\n");
    return 0;
  }
  at::manual_seed(1);
  for (const DecodeFormat format : {DecodeFormat::bf16, DecodeFormat::int8})
    for (const std::int32_t rows : {1, 2, 8}) measure({}, format, rows, rounds);
  return 0;
}
