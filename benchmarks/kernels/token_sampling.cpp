// One draw from a row of logits, against the library calls that a user would write: top-k, softmax and
// multinomial; a full sort where there is a nucleus but no top-k.
//   token_sampling [rounds]
// The ladder (200k logits, top-k 50, top-p 0.9, AVX-512, one thread of a busy machine), us:
//   all candidates into a list, nth_element, an fp64 exponential per logit  5,455
//   block maxima bound the candidates; weights as integers, sixteen wide       84
//   the log-probability before the filters from fp32 sums                      57
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cstdlib>

#include "gpu_timing.h"
#include "omni/kernels/cuda_token_sampler.h"
#include "omni/kernels/tensor.h"
#include "omni/kernels/token_sampling.h"

// GCC 12 takes the absent generator of at::multinomial for one that was never set.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace {

using namespace omni;
using at::Tensor;

std::int64_t library_draw(const Tensor& logits, const kernels::SamplingSettings& s) {
  if (s.top_k > 0) {
    const auto [values, indices] = at::topk(logits, s.top_k);
    Tensor p = at::softmax(values / s.temperature, -1);
    if (s.top_p < 1) p = p.masked_fill(p.cumsum(-1) - p >= s.top_p, 0);
    return indices[at::multinomial(p, 1).item<std::int64_t>()].item<std::int64_t>();
  }
  if (s.top_p < 1) {
    const auto [values, indices] = at::sort(logits, -1, true);
    Tensor p = at::softmax(values / s.temperature, -1);
    p = p.masked_fill(p.cumsum(-1) - p >= s.top_p, 0);
    return indices[at::multinomial(p, 1).item<std::int64_t>()].item<std::int64_t>();
  }
  Tensor p = at::softmax(logits / s.temperature, -1);
  if (s.min_p > 0) p = p.masked_fill(p < p.max() * s.min_p, 0);
  return at::multinomial(p, 1).item<std::int64_t>();
}

void measure(const char* name, std::int64_t vocabulary, const kernels::SamplingSettings& settings,
             int rounds) {
  at::manual_seed(1);
  const Tensor logits = at::randn({vocabulary}) * 3;
  const std::span<const float> row(logits.const_data_ptr<float>(), static_cast<std::size_t>(vocabulary));
  std::uint64_t step = 0;
  std::int64_t sum = 0;
  const std::vector<double> seconds =
      benchmark::fastest({[&] {
                            sum += kernels::sample_token(row, settings, {1, 2, step++}, "benchmark").index;
                          },
                          [&] { sum += library_draw(logits, settings); }},
                         rounds);
  volatile std::int64_t sink = sum;
  (void)sink;
  benchmark::Line("token_sampling")
      .add("settings", std::string(name))
      .add("vocabulary", vocabulary)
      .add("us", seconds[0] * 1e6)
      .add("library_us", seconds[1] * 1e6)
      .add("library_ratio", seconds[1] / seconds[0])
      .print();
}

// A batch on the GPU against top-k and a draw, and against a sort and a draw (which leave out what top-p
// does).
void measure_on_gpu(std::int64_t vocabulary, std::int64_t batch, at::ScalarType type, int rounds) {
  const at::Device device = benchmark::device();
  const kernels::SamplingSettings settings{.temperature = 0.8, .top_k = 50, .top_p = 0.9};
  std::vector<kernels::CudaTokenSampler::Row> rows(static_cast<std::size_t>(batch));
  for (std::size_t b = 0; b < rows.size(); ++b) rows[b] = {settings, {1, b, 0}, {}, {}, {}};
  kernels::CudaTokenSampler sampler(device, vocabulary, rows);
  const Tensor logits = (at::randn({1, batch, vocabulary}, at::TensorOptions(device)) * 3).to(type);
  const std::vector<double> seconds = benchmark::fastest_on_gpu(
      {[&] { sampler.sample(logits); },
       [&] {
         const auto [values, indices] = at::topk(logits[0], settings.top_k);
         indices.gather(1, at::multinomial(at::softmax(values.to(at::kFloat) / settings.temperature, -1), 1));
       },
       [&] {
         const auto [values, indices] = at::sort(logits[0], -1, true);
         indices.gather(1, at::multinomial(at::softmax(values.to(at::kFloat) / settings.temperature, -1), 1));
       }},
      rounds, batch >= 64 ? 4 : 20);
  benchmark::Line("token_sampling_gpu")
      .add("type", std::string(c10::toString(type)))
      .add("vocabulary", vocabulary)
      .add("batch", batch)
      .add("us", seconds[0] * 1e6)
      .add("library_us", seconds[1] * 1e6)
      .add("library_ratio", seconds[1] / seconds[0])
      .add("sort_ratio", seconds[2] / seconds[0])
      .print();
}

}  // namespace

int main(int argc, char** argv) {
  const c10::NoGradGuard guard;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 50;
  const bool gpu = benchmark::device().is_cuda();
  std::printf("token sampling, one thread against %d threads of the library\n", at::get_num_threads());
  if (gpu) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
      for (const std::int64_t vocabulary : {16'000, 64'000, 128'000, 256'000})
        for (const std::int64_t batch : {1, 8, 64, 512}) measure_on_gpu(vocabulary, batch, type, 5);
    return 0;
  }
  for (const std::int64_t vocabulary : {16'000, 64'000, 200'000, 256'000}) {
    measure("top_k_top_p", vocabulary, {.temperature = 0.8, .top_k = 50, .top_p = 0.9}, rounds);
    measure("top_k", vocabulary, {.temperature = 0.8, .top_k = 50}, rounds);
    measure("top_p", vocabulary, {.temperature = 0.8, .top_p = 0.9}, rounds);
    measure("min_p", vocabulary, {.temperature = 0.8, .min_p = 0.05}, rounds);
    measure("plain", vocabulary, {.temperature = 0.8}, rounds);
  }
  return 0;
}
