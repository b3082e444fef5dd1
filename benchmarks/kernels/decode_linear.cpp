// Products of a few rows with a weight that does not fit the caches, against a plain read of the same bytes
// by the same threads and against at::linear.
//   decode_linear [rounds] [outputs] [inputs]
//
// The ladder, as shares of a plain read on one core of an AMD EPYC (Zen 4), bf16, 1, 2, 4 and 8 rows:
//   0.92 0.70 0.98 0.90   32 outputs side by side, one stream, hardware prefetching alone
//   0.95 0.98 0.97 0.95   the stream asked for 8 KiB ahead (2, 4 and 16 KiB: 0.6 to 0.9)
//   on a Xeon with AMX, GB/s of one thread from the second cache, panels of twelve bits, 1, 2 and 8 rows:
//   26.8 18.8  6.1   products of bf16 pairs: an instruction takes two cycles, fused products of as many numbers one
//   51.0 47.7 33.6   tiles, a step of 32 inputs expanded while the one before it is multiplied (rings of 4 and 8 steps: as fast)
//   there int8 34.0 30.9 10.2 by byte products, 47.2 42.4 27.4 on tiles, 86.4 77.0 45.8 with sums joined sixteen at a time; fp32 inputs in three parts 24.7 20.6 8.7 and 34.3 32.0 19.9
//   and with a busy neighbour on the same core, fp32 in three parts: 9.9 9.9 7.4, each part added to the sum of the one before;
//   19.1 17.6 7.4 with the parts as rows of their own, which do not wait for each other
//   on an EPYC with AVX2 (Zen 3), one thread from the cache, 1, 2 and 4 rows: bf16 in twelve bits 21.9 17.2 8.9 expanded unit by
//   unit, 28.3 19.3 8.8 eight outputs at a time, which stay in registers; int8 25.2 14.8 7.4 by a row's upper and lower bytes,
//   41.5 21.9 13.4 by its 16-bit words
//   there 1,020 rows of fp32, as a prompt has, GFLOP/s of two threads, median of 400 between neighbours, 1,024 and 3,072 inputs
//   (195 to 204 are all that two cores give):
//   138 112   every row by itself, a power of two from the next, and the panel asked for ahead, which is in the cache already
//   151 129   not asked for
//   168 135   rows that are multiplied at once lie together, [steps, 6]
//   178 159   the loop over them by numbers that the compiler knows, the panel on cache lines (171 151 if no more than 512
//             inputs are summed at a time: rows are then short pieces of their stream)
//   183 172   and rows asked for 2 KiB ahead, the panel's columns sixteen by sixteen
// int8 through fixed-point inputs and byte products is read at the same speed up to four rows; at eight, a
// block takes two passes and reaches half of it.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cstdlib>

#include "memory_read.h"
#include "omni/kernels/decode_linear.h"
#include "omni/kernels/tensor.h"
#include "timing.h"

namespace {

using namespace omni;
using at::Tensor;

const char* name_of(kernels::DecodeFormat format) {
  return format == kernels::DecodeFormat::fp32   ? "fp32"
         : format == kernels::DecodeFormat::bf16 ? "bf16"
                                                 : "int8";
}

void measure(std::int64_t rows, const Tensor& weight, kernels::DecodeFormat format, int rounds) {
  const c10::NoGradGuard guard;
  const auto type = format == kernels::DecodeFormat::fp32 ? at::kFloat : at::kBFloat16;
  const kernels::DecodeWeight packed(weight, format);
  const Tensor x = at::randn({rows, weight.size(1)}).to(type), plain = weight.to(type);
  const Tensor bytes = at::ones({packed.bytes()}, at::kByte);
  const std::vector<double> seconds =
      benchmark::fastest({[&] { kernels::decode_linear(x, packed, {}); }, [&] { benchmark::read_all(bytes); },
                          [&] { at::linear(x, plain); }},
                         rounds);
  const double gigabytes = 1e-9 * static_cast<double>(packed.bytes());
  benchmark::Line("decode_linear")
      .add("weight", std::string(name_of(format)))
      .add("rows", rows)
      .add("outputs", weight.size(0))
      .add("inputs", weight.size(1))
      .add("us", seconds[0] * 1e6)
      .add("gb_per_s", gigabytes / seconds[0])
      .add("read_gb_per_s", gigabytes / seconds[1])
      .add("share_of_read", seconds[1] / seconds[0])
      .add("linear_us", seconds[2] * 1e6)
      .add("linear_ratio", seconds[2] / seconds[0])
      .print();
}

}  // namespace

int main(int argc, char** argv) {
  if (!benchmark::cpu_only("products of a few rows")) return 0;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 30;
  const std::int64_t outputs = argc > 2 ? std::atoll(argv[2]) : 4096,
                     inputs = argc > 3 ? std::atoll(argv[3]) : 11008;
  at::manual_seed(1);
  std::printf("products of a few rows, %d threads\n", at::get_num_threads());
  const Tensor weight = at::randn({outputs, inputs});
  using Format = kernels::DecodeFormat;
  for (const Format format : {Format::bf16, Format::int8, Format::fp32})
    for (const std::int64_t rows : {1, 2, 4, 8, 32, 96, 1024})
      measure(rows, weight, format, rows > 8 ? std::min(rounds, 5) : rounds);
  // Sizes that do fit: those of small models.
  for (const Format format : {Format::bf16, Format::fp32})
    for (const std::int64_t width : {192, 768})
      for (const std::int64_t rows : {2, 16, 96})
        measure(rows, at::randn({3 * width, width}), format, 20 * rounds);
  return 0;
}
