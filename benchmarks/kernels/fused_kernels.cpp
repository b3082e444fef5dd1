// The fused kernels of a training step on a GPU, forward and backward pass together, against the LibTorch calls that
// run where they are not asked for (`fused_kernels` of a stage's file). A library_ratio above 1 is the kernel's win.
//   fused_kernels [rounds]
// gb_per_s counts what has to be read and written once, whatever either of them moves; the rotation and the cross-entropy,
// which are measured with what stands around them, have none, and win more than their ratio says. On the processor, which has its
// own kernels, each is called once.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "gpu_timing.h"
#include "omni/kernels/add_norm.h"
#include "omni/kernels/cross_entropy.h"
#include "omni/kernels/cuda_adamw.h"
#include "omni/kernels/embedding.h"
#include "omni/kernels/rotary_attention.h"
#include "omni/kernels/swiglu.h"
#include "omni/kernels/tensor.h"

namespace {

using namespace omni;
using at::Tensor;
using kernels::KernelPath;

Tensor random(at::IntArrayRef shape, at::ScalarType type = at::kFloat) {
  return at::randn(shape, at::TensorOptions(benchmark::device())).to(type);
}
Tensor trained(const Tensor& x) { return x.detach().requires_grad_(); }

class Measurement {
 public:
  explicit Measurement(int rounds) : rounds_(rounds) {}

  // run(path) does the work once; `bytes` of memory that it cannot do without, 0 where other work is among it.
  template <class Run>
  void measure(const char* operation, at::ScalarType type, std::int64_t rows, std::int64_t width,
               double bytes, const Run& run) const {
    if (!benchmark::device().is_cuda()) {
      run(KernelPath::fused);
      std::printf("%s: the processor has its own kernel, nothing to choose\n", operation);
      return;
    }
    const std::vector<double> seconds = benchmark::fastest_on_gpu(
        {[&] { run(KernelPath::fused); }, [&] { run(KernelPath::library); }}, rounds_);
    benchmark::Line line("fused_kernel");
    line.add("operation", std::string(operation))
        .add("type", std::string(type == at::kFloat ? "fp32" : "bf16"))
        .add("rows", rows)
        .add("width", width)
        .add("us", seconds[0] * 1e6)
        .add("library_us", seconds[1] * 1e6)
        .add("library_ratio", seconds[1] / seconds[0]);
    if (bytes > 0) line.add("gb_per_s", 1e-9 * bytes / seconds[0]);
    line.print();
  }

 private:
  int rounds_;
};

void swiglu(const Measurement& with, at::ScalarType type, std::int64_t rows, std::int64_t width) {
  const Tensor gate_up = trained(random({rows, 2 * width}, type)), gradient = random({rows, width}, type);
  const double bytes = 8.0 * static_cast<double>(gradient.nbytes());
  with.measure("swiglu", type, rows, width, bytes, [&](KernelPath path) {
    gate_up.mutable_grad() = Tensor();
    kernels::swiglu(gate_up, path).backward(gradient);
  });
}

void norm(const Measurement& with, at::ScalarType type, std::int64_t rows, std::int64_t width) {
  const Tensor residual = trained(random({rows, width})), delta = trained(random({rows, width}, type)),
               weight = trained(random({width}));
  const Tensor gradient = random({rows, width}, type), sum_gradient = random({rows, width});
  // Residual, its sum twice and the gradients of both; delta, output and the gradients of both.
  const double bytes =
      5.0 * static_cast<double>(residual.nbytes()) + 4.0 * static_cast<double>(delta.nbytes());
  with.measure("norm", type, rows, width, bytes, [&](KernelPath path) {
    for (const Tensor& x : {residual, delta, weight}) x.mutable_grad() = Tensor();
    const auto [sum, normed] =
        kernels::add_norm(residual, delta, weight, {kernels::NormKind::root_mean_square, 1e-6, type, path});
    torch::autograd::backward({sum, normed}, {sum_gradient, gradient});
  });
}

// With the attention behind it in documents of 16 rows, which is the same on both sides.
void rotation(const Measurement& with, at::ScalarType type, std::int64_t rows, std::int64_t heads) {
  constexpr std::int64_t kHeadSize = 64;
  const Tensor qkv = trained(random({rows, 3 * heads * kHeadSize}, type)),
               gradient = random({rows, heads * kHeadSize}, type);
  kernels::RotaryAttention options{.heads = heads, .key_value_heads = heads, .head_size = kHeadSize};
  options.cosine = random({rows, kHeadSize / 2}), options.sine = random({rows, kHeadSize / 2});
  options.query_norm = trained(random({1, kHeadSize})), options.key_norm = trained(random({1, kHeadSize}));
  std::vector<std::int64_t> starts;
  for (std::int64_t row = 0; row <= rows; row += 16) starts.push_back(row);
  const kernels::AttentionSpans spans = kernels::AttentionSpans::causal(starts);
  with.measure("rotation", type, rows, heads * kHeadSize, 0, [&](KernelPath path) {
    for (const Tensor& x : {qkv, options.query_norm, options.key_norm}) x.mutable_grad() = Tensor();
    options.rotation_path = path;
    kernels::rotary_attention(qkv, options, spans).backward(gradient);
  });
}

// With the products before and behind it, which are the same on both sides.
void cross_entropy(const Measurement& with, at::ScalarType type, std::int64_t rows, std::int64_t classes) {
  constexpr std::int64_t kWidth = 64;
  const Tensor hidden = trained(random({rows, kWidth}, type)), table = trained(random({classes, kWidth}));
  const Tensor cast = table.detach().to(type), weights = random({rows}).abs();
  const Tensor targets = at::randint(classes, {rows}, at::TensorOptions(benchmark::device()).dtype(at::kInt));
  const std::vector<kernels::ClassRun> runs = {{0, classes}};
  with.measure("cross_entropy", type, rows, classes, 0, [&](KernelPath path) {
    hidden.mutable_grad() = Tensor();
    kernels::row_cross_entropy(hidden, {table, cast, {}}, runs, targets, weights, 1e-4, path)
        .objective.backward();
  });
}

void embedding(const Measurement& with, std::int64_t rows, std::int64_t width) {
  constexpr std::int64_t kTokens = 20'000, kDimension = 8;
  const auto indices = [&](std::int64_t bound, std::int64_t count) {
    return at::randint(bound, {count}, at::TensorOptions(benchmark::device()).dtype(at::kLong));
  };
  const Tensor table = trained(random({kTokens, width})), gradient = random({rows, width});
  const Tensor tokens = indices(kTokens, rows);
  const kernels::EmbeddedCodes codes{random({512, kDimension}), trained(random({width, kDimension})),
                                     at::arange(rows / 2, tokens.options()), indices(512, rows / 2)};
  const double bytes = 5.0 * static_cast<double>(gradient.nbytes());
  with.measure("embedding", at::kFloat, rows, width, bytes, [&](KernelPath path) {
    codes.projection.mutable_grad() = Tensor();
    kernels::embed(table, tokens, {&codes, 1}, path).backward(gradient);
  });
}

// With the copy of the weights in bf16 that products take.
void adamw(const Measurement& with, std::int64_t parameters) {
  if (!benchmark::device().is_cuda()) return;
  const c10::NoGradGuard guard;
  const Tensor masters = random({parameters}), gradients = random({parameters}),
               first = at::zeros_like(masters), second = at::zeros_like(masters),
               values = masters.to(at::kBFloat16);
  const Tensor steps = at::ones({}, masters.options()), divisor = at::full({}, 2, masters.options()),
               skipped = at::zeros({}, masters.options());
  const double bytes = 30.0 * static_cast<double>(parameters);
  with.measure("adamw", at::kBFloat16, 1, parameters, bytes, [&](KernelPath path) {
    if (path == KernelPath::fused)
      return kernels::cuda_adamw(
          {masters, gradients, first, second, values, steps, divisor, skipped, 1e-9, 0.9, 0.95, 0.1, 1e-8});
    at::_fused_adamw_({masters}, {gradients}, {first}, {second}, {}, {steps}, 1e-9, 0.9, 0.95, 0.1, 1e-8,
                      false, false, divisor, skipped);
    values.copy_(masters);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const bool gpu = benchmark::device().is_cuda();
  const Measurement with(argc > 1 ? std::atoi(argv[1]) : 5);
  // Of models of 100 million and of a billion weights.
  struct Shape {
    std::int64_t rows, width, inner, heads;
  };
  const std::vector<Shape> shapes = gpu ? std::vector<Shape>{{8192, 768, 2048, 12}, {8192, 2048, 5504, 32}}
                                        : std::vector<Shape>{{64, 128, 256, 2}};
  for (const Shape& shape : shapes) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      swiglu(with, type, shape.rows, shape.inner);
      norm(with, type, shape.rows, shape.width);
      // There is no attention kernel for fp32 on a GPU, and the library's takes documents one by one.
      if (!gpu || type == at::kBFloat16) rotation(with, type, shape.rows, shape.heads);
    }
    embedding(with, shape.rows, shape.width);
  }
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
    for (const std::int64_t classes :
         gpu ? std::vector<std::int64_t>{512, 16'384} : std::vector<std::int64_t>{512})
      cross_entropy(with, type, gpu ? 8192 : 64, classes);
  for (const std::int64_t parameters : {100'000'000, 1'000'000'000}) {
    try {
      adamw(with, parameters);
    } catch (const c10::OutOfMemoryError&) {
      std::printf("adamw: %lld parameters do not fit this GPU\n", static_cast<long long>(parameters));
    }
  }
  return 0;
}
