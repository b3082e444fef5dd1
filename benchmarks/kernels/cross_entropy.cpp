// Cross-entropy of hidden rows against a table of classes, forward and backward, against a product, PyTorch's
// cross-entropy and their backward pass, which hold all logits (in the type of hidden and in fp32).
//   cross_entropy [rounds] [most classes]
#include <ATen/Parallel.h>

#include <cstdlib>

#include "omni/kernels/cross_entropy.h"
#include "omni/kernels/tensor.h"
#include "timing.h"

namespace {

using namespace omni;
using at::Tensor;

void measure(at::ScalarType type, std::int64_t rows, std::int64_t width, std::int64_t classes, int rounds) {
  at::manual_seed(1);
  Tensor hidden = at::randn({rows, width}).to(type).set_requires_grad(true);
  Tensor table = (at::randn({classes, width}) * 0.02).set_requires_grad(true);
  const Tensor targets = at::randint(classes, {rows}, at::kInt), weights = at::ones({rows});
  const Tensor index = targets.to(at::kLong);
  const std::vector<kernels::ClassRun> runs = {{0, classes}};
  const auto clear = [&] { hidden.mutable_grad() = table.mutable_grad() = Tensor(); };
  const std::vector<double> seconds = benchmark::fastest(
      {[&] {
         clear();
         kernels::row_cross_entropy(hidden, {table, table.detach().to(type), {}}, runs, targets, weights, 0)
             .objective.backward();
       },
       [&] {
         clear();
         const Tensor logits = at::mm(hidden, table.to(type).t()).to(at::kFloat);
         at::cross_entropy_loss(logits, index, {}, at::Reduction::Sum).backward();
       }},
      rounds);
  benchmark::Line("cross_entropy")
      .add("type", std::string(type == at::kFloat ? "fp32" : "bf16"))
      .add("rows", rows)
      .add("width", width)
      .add("classes", classes)
      .add("ms", seconds[0] * 1e3)
      .add("library_ms", seconds[1] * 1e3)
      .add("library_ratio", seconds[1] / seconds[0])
      .print();
}

}  // namespace

int main(int argc, char** argv) {
  if (!benchmark::cpu_only("cross-entropy")) return 0;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 10,
            maximum_classes = argc > 2 ? std::atoi(argv[2]) : 200000;
  std::printf("cross-entropy, forward and backward, %d threads\n", at::get_num_threads());
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    measure(type, 2048, 192, 512, 4 * rounds);
    measure(type, 2048, 192, 4096, 2 * rounds);
    if (maximum_classes >= 32768) measure(type, 1024, 512, 32768, std::max(1, rounds / 3));
    if (maximum_classes >= 200000) measure(type, 1024, 256, 200000, std::max(1, rounds / 5));
  }
  return 0;
}
