// Attention over packed documents, forward and backward, against PyTorch's scaled_dot_product_attention with
// a dense mask over the whole batch, and called once per document; on a GPU also against flash attention with
// cumulative lengths.
//   packed_attention [rounds] [tokens]
// On a GPU also by the kernels for Hopper and by cuDNN (lines attention_path), beside the general kernel: a kernel_ratio
// above 1 is their win, and what kernels/attention_choice may have in its table.
//
// The ladder, in GFLOP/s over the visible pairs, forward and backward, of one core of an AMD EPYC (Zen 4; 117
// in fp32 and 234 in bf16 are the most that it can do). First figure: 4,096 tokens of 8 documents, 8 heads of
// 64; second: one document of 4,096 tokens, one head of 128; third: 40 documents, 6 heads of 32.
//   fp32  73  65  37   whole rows of scores, keys transposed as one matrix
//   fp32  76  88  37   blocks of 128 keys with a running maximum, keys in panels of 32, tiles of 8 rows
//   bf16  76  73  44   the first of these, converting to fp32
//   bf16 127 155  56   the second, with products of bf16 pairs
//   bf16 130 162  60   rows of the input asked for 8 ahead
//   bf16 131 160  70   32 ahead: a head's rows lie too far apart for the hardware to foresee
// Tried and dropped: a cubic for 2^x in bf16 (1 to 4 % faster, but the log-sum-exp is off by 8e-5); asking
// ahead for the rows that gradients are written to (nothing). The products now run at nine tenths of what the
// core can do; reading, writing and exponentials are the rest.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdlib>

#include "omni/core/error.h"
#include "omni/kernels/packed_attention.h"
#include "omni/kernels/tensor.h"
#include "timing.h"

namespace {

using namespace omni;
using at::Tensor;

struct Case {
  at::ScalarType type;
  std::int64_t heads, key_value_heads, head_size, documents;
  bool dense;  // also with a dense mask
};

struct Inputs {
  Tensor query, key, value, gradient;  // [N, heads, head_size]
};

Inputs make_inputs(const Case& c, std::int64_t tokens) {
  const auto make = [&](std::int64_t heads) {
    return at::randn({tokens, heads, c.head_size}).to(benchmark::device(), c.type).set_requires_grad(true);
  };
  return {make(c.heads), make(c.key_value_heads), make(c.key_value_heads), make(c.heads).detach()};
}

Tensor batched(const Tensor& x, std::int64_t repeat) {
  const Tensor heads = x.transpose(0, 1).unsqueeze(0);
  return repeat == 1 ? heads : heads.repeat_interleave(repeat, 1);
}

Tensor library(const Inputs& in, const std::optional<Tensor>& mask, bool causal) {
  const std::int64_t repeat = in.query.size(1) / in.key.size(1);
  return at::scaled_dot_product_attention(batched(in.query, 1), batched(in.key, repeat),
                                          batched(in.value, repeat), mask, 0.0, causal)
      .squeeze(0)
      .transpose(0, 1);
}

void backward(const Tensor& output, const Inputs& in) {
  in.query.mutable_grad() = in.key.mutable_grad() = in.value.mutable_grad() = Tensor();
  output.backward(in.gradient);
}

std::vector<std::int64_t> starts_of(std::int64_t documents, std::int64_t tokens) {
  std::vector<std::int64_t> starts;
  for (std::int64_t d = 0; d <= documents; ++d) starts.push_back(tokens * d / documents);
  return starts;
}

void per_document(const Inputs& in, const std::vector<std::int64_t>& starts) {
  std::vector<Tensor> outputs;
  for (std::size_t d = 0; d + 1 < starts.size(); ++d) {
    const auto own = [&](const Tensor& x) { return x.narrow(0, starts[d], starts[d + 1] - starts[d]); };
    outputs.push_back(library({own(in.query), own(in.key), own(in.value), {}}, std::nullopt, true));
  }
  backward(at::concat(outputs, 0), in);
}

// The library's own call for packed documents, which CPUs lack.
void variable_length(const Inputs& in, const Tensor& starts, std::int64_t longest) {
  const c10::NoGradGuard guard;
  const auto [output, log_sum, random, unused, mask] = at::_flash_attention_forward(
      in.query, in.key, in.value, starts, starts, longest, longest, 0.0, true, false);
  at::_flash_attention_backward(in.gradient, in.query, in.key, in.value, output, log_sum, starts, starts,
                                longest, longest, 0.0, true, random, unused);
}

Tensor dense_mask(const std::vector<std::int64_t>& starts) {
  const Tensor document = at::empty({starts.back()}, at::kLong);
  for (std::size_t d = 0; d + 1 < starts.size(); ++d)
    document.narrow(0, starts[d], starts[d + 1] - starts[d]).fill_(static_cast<std::int64_t>(d));
  const Tensor own = document.to(benchmark::device());
  return own.unsqueeze(0).eq(own.unsqueeze(1)).tril();
}

// The pairs of the tiles of 128 rows and 128 keys that causal documents visit.
double visited_pairs(const kernels::AttentionSpans& spans) {
  constexpr std::int64_t kTile = 128;
  std::int64_t tiles = 0;
  for (std::int64_t row = 0; row < spans.rows(); row += kTile) {
    const std::int64_t last = std::min(row + kTile, spans.rows()) - 1;
    tiles += (spans.key_last()[last] - 1) / kTile - spans.key_first()[row] / kTile + 1;
  }
  return static_cast<double>(tiles * kTile * kTile);
}

void measure_path(const Case& c, const Inputs& in, const kernels::AttentionSpans& spans, const char* name,
                  int rounds) {
  const auto attend = [&](const char* path) {
    return kernels::packed_attention(in.query, in.key, in.value, spans, kernels::parse_attention_path(path));
  };
  const auto forward = [&](const char* path) {
    const c10::NoGradGuard guard;
    attend(path);
  };
  try {
    forward(name);
  } catch (const Error& error) {
    std::printf("%s\n", error.what());
    return;
  }
  const std::vector<double> seconds =
      benchmark::fastest({[&] { forward(name); }, [&] { forward("kernel"); },
                          [&] { backward(attend(name), in); }, [&] { backward(attend("kernel"), in); }},
                         rounds);
  const double unit = 2e-12 * static_cast<double>(c.heads * c.head_size);
  const auto visible = static_cast<double>(spans.visible_pairs());
  benchmark::Line line("attention_path");
  line.add("path", std::string(name))
      .add("head_size", c.head_size)
      .add("heads", c.heads)
      .add("documents", c.documents)
      .add("tokens", spans.rows())
      .add("forward_ms", seconds[0] * 1e3)
      .add("both_ms", seconds[2] * 1e3)
      .add("forward_tflops", 2 * unit * visible / seconds[0])
      .add("both_tflops", 7 * unit * visible / seconds[2])
      .add("visited_forward_tflops", 2 * unit * visited_pairs(spans) / seconds[0])
      .add("visited_both_tflops", 7 * unit * visited_pairs(spans) / seconds[2])
      .add("forward_kernel_ratio", seconds[1] / seconds[0])
      .add("both_kernel_ratio", seconds[3] / seconds[2])
      .print();
}

void measure(const Case& c, std::int64_t tokens, int rounds) {
  at::manual_seed(1);
  const Inputs in = make_inputs(c, tokens);
  const std::vector<std::int64_t> starts = starts_of(c.documents, tokens);
  auto spans = kernels::AttentionSpans::causal(starts);
  spans = spans.with_bounds(spans.bounds(benchmark::device()));
  std::vector<std::function<void()>> candidates = {
      [&] { backward(kernels::packed_attention(in.query, in.key, in.value, spans), in); },
      [&] { per_document(in, starts); }};
  const std::vector<double> seconds = benchmark::fastest(candidates, rounds);
  const std::vector<double> forward =
      benchmark::fastest({[&] {
                           const c10::NoGradGuard guard;
                           kernels::packed_attention(in.query, in.key, in.value, spans);
                         }},
                         rounds);
  // Two products forward, five backward; two operations per product and pair.
  const double unit = 2e-9 * static_cast<double>(spans.visible_pairs() * c.heads * c.head_size);
  benchmark::Line line("packed_attention");
  line.add("type", std::string(c.type == at::kFloat ? "fp32" : "bf16"))
      .add("head_size", c.head_size)
      .add("heads", c.heads)
      .add("key_value_heads", c.key_value_heads)
      .add("documents", c.documents)
      .add("tokens", tokens)
      .add("forward_ms", forward[0] * 1e3)
      .add("both_ms", seconds[0] * 1e3)
      .add("forward_gflops", 2 * unit / forward[0])
      .add("both_gflops", 7 * unit / seconds[0])
      .add("per_document_ratio", seconds[1] / seconds[0]);
  if (c.dense) {
    const Tensor mask = dense_mask(starts);
    const std::vector<double> dense = benchmark::fastest(
        {candidates[0], [&] { backward(library(in, mask, false), in); }}, std::max(1, rounds / 5));
    line.add("dense_mask_ratio", dense[1] / std::min(dense[0], seconds[0]));
  }
  if (benchmark::device().is_cuda() && c.type == at::kBFloat16) {
    Tensor cumulative = at::empty({c.documents + 1}, at::kInt);
    for (std::int64_t d = 0; d <= c.documents; ++d) cumulative[d] = starts[d];
    cumulative = cumulative.to(benchmark::device());
    const std::vector<double> library = benchmark::fastest(
        {candidates[0], [&] { variable_length(in, cumulative, tokens / c.documents + 1); }}, rounds);
    line.add("variable_length_ratio", library[1] / std::min(library[0], seconds[0]));
  }
  line.print();
  if (benchmark::device().is_cuda())
    for (const char* path : {"hopper", "cudnn"}) measure_path(c, in, spans, path, rounds);
}

void measure_cpu(std::int64_t tokens, int rounds) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
    for (const Case& c :
         {Case{type, 8, 8, 64, 8, true}, Case{type, 4, 4, 128, 8, true}, Case{type, 6, 6, 32, 8, true},
          Case{type, 8, 2, 64, 8, false}, Case{type, 8, 8, 64, 1, false}, Case{type, 1, 1, 128, 1, false},
          Case{type, 6, 6, 32, 40, false}})
      measure(c, tokens, rounds);
}

void measure_gpu(int rounds) {
  for (const std::int64_t head_size : {64, 128})
    for (const std::int64_t tokens : {1024, 4096, 8192, 32768})
      for (const std::int64_t documents : {1, 8})
        measure({at::kBFloat16, 2048 / head_size, 2048 / head_size, head_size, documents, tokens <= 8192},
                tokens, rounds);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 10;
  const std::int64_t tokens = argc > 2 ? std::atoll(argv[2]) : 4096;
  std::printf("attention, forward and backward, %d threads\n", at::get_num_threads());
  benchmark::device().is_cuda() ? measure_gpu(rounds) : measure_cpu(tokens, rounds);
  return 0;
}
