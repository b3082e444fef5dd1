// The three bf16 products of a linear layer in training, against the library's.
//   linear_products [rows] [rounds]
//
// One core of an EPYC (Zen 5), whose instructions for bf16 pairs reach 548 GFLOP/s, 4,096 rows, widths of 192 and
// 768: rows 400 to 520 GFLOP/s (the library 380 to 505), input gradients 470 to 520 (450 to 505), weight gradients
// 430 to 470 (390 to 465). The ladder of the weight gradient of 8,320 x 1,024 and 8,320 x 192, GFLOP/s:
//   377  the library
//   379  both sides laid out as pairs of rows, panel by panel
//   443  all panels of a row together, rows asked for sixteen ahead
//   454  pieces of 1,024 rows, not 512
// Tiles of 8 x 32, 8 x 48, 12 x 32 and 6 x 64 are equally fast.
#include "omni/kernels/linear_products.h"
#include "omni/kernels/tensor.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cstdlib>

#include "timing.h"

namespace {

using namespace omni;
using at::Tensor;

void measure(std::int64_t rows, std::int64_t inputs, std::int64_t outputs, int rounds) {
  const Tensor x = at::randn({rows, inputs}).to(at::kBFloat16);
  const Tensor weight = at::randn({outputs, inputs}).to(at::kBFloat16);
  const Tensor incoming = at::randn({rows, outputs}).to(at::kBFloat16);
  const std::vector<double> seconds = benchmark::fastest(
      {[&] { kernels::linear_rows(x, weight); }, [&] { at::mm(x, weight.t()); },
       [&] { kernels::linear_input_gradient(incoming, weight); }, [&] { at::mm(incoming, weight); },
       [&] { kernels::linear_weight_gradient(incoming, x); },
       [&] { at::mm(incoming.t(), x).to(at::kFloat); }},
      rounds);
  const double gflop = 2e-9 * static_cast<double>(rows * inputs * outputs);
  const char* names[] = {"rows", "input_gradient", "weight_gradient"};
  for (int i = 0; i < 3; ++i)
    benchmark::Line("linear_products")
        .add("product", std::string(names[i]))
        .add("inputs", inputs)
        .add("outputs", outputs)
        .add("us", 1e6 * seconds[2 * i])
        .add("gflops", gflop / seconds[2 * i])
        .add("library_gflops", gflop / seconds[2 * i + 1])
        .add("ratio", seconds[2 * i + 1] / seconds[2 * i])
        .print();
}

}  // namespace

int main(int argc, char** argv) {
  if (!benchmark::cpu_only("products of a linear layer")) return 0;
  const c10::NoGradGuard guard;
  const std::int64_t rows = argc > 1 ? std::atoll(argv[1]) : 8192;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 30;
  at::manual_seed(1);
  std::printf("products of a linear layer, %lld rows, %d threads\n", static_cast<long long>(rows),
              at::get_num_threads());
  for (const std::int64_t width : {192, 768}) {
    const int count = width > 192 ? std::max(1, rounds / 10) : rounds;
    const std::int64_t hidden = width == 192 ? 512 : 2048;
    measure(rows, width, 3 * width, count);
    measure(rows, width, width, count);
    measure(rows, width, 2 * hidden, count);
    measure(rows, hidden, width, count);
  }
  return 0;
}
