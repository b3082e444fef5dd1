#include "gradients.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "library_products.h"
#include "omni/kernels/widened.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// Each thread has columns of its own, so that rows that occur twice are no matter, and the order of sums does
// not depend on the threads.
void add_rows_on_cpu(const Tensor& gradient, const Tensor& indices, const Tensor& rows) {
  constexpr std::int64_t kColumns = 64;
  const std::int64_t width = rows.size(1), count = rows.size(0), stride = gradient.stride(0);
  auto* sums = gradient.mutable_data_ptr<float>();
  const auto* index = indices.const_data_ptr<std::int64_t>();
  const auto* added = rows.const_data_ptr<float>();
  at::parallel_for(0, (width + kColumns - 1) / kColumns, 1, [&](std::int64_t first, std::int64_t last) {
    const std::int64_t begin = first * kColumns, end = std::min(width, last * kColumns);
    for (std::int64_t i = 0; i < count; ++i) {
      float* sum = sums + index[i] * stride;
      const float* own = added + i * width;
      for (std::int64_t j = begin; j < end; ++j) sum[j] += own[j];
    }
  });
}

}  // namespace

bool gives_wide_sums(const Tensor& x) {
  return x.is_cuda() && (x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf);
}

Tensor gradient_of(const Tensor& leaf) {
  const Tensor& known = leaf.grad();
  if (known.defined()) return known;
  const c10::NoGradGuard guard;
  return leaf.mutable_grad() = at::zeros(leaf.sizes(), leaf.options().dtype(at::kFloat).requires_grad(false));
}

void add_weight_gradient(const Tensor& gradient, const Tensor& rows, const Tensor& x) {
  Tensor sums = gradient;
  if (gives_wide_sums(x)) {
    at::addmm_out(sums, sums, rows.t(), x, at::kFloat);
  } else if (x.scalar_type() == at::kFloat) {
    sums.addmm_(rows.t(), x);
  } else if (is_widened(x)) {
    put_widened_product(sums, rows.t(), x, true);
  } else {
    // A sum of two types is made of copies in the wider one.
    const std::int64_t most = std::max<std::int64_t>(1, kPieceBytes / (x.size(1) * gradient.element_size()));
    for (std::int64_t first = 0; first < rows.size(1); first += most) {
      const std::int64_t count = std::min(most, rows.size(1) - first);
      sums.narrow(0, first, count).add_(at::mm(rows.narrow(1, first, count).t(), x));
    }
  }
}

void add_rows(const Tensor& gradient, const Tensor& indices, const Tensor& rows) {
  if (gradient.is_cpu())
    add_rows_on_cpu(gradient, indices, rows.contiguous());
  else
    Tensor(gradient).index_add_(0, indices, rows);
}

}  // namespace omni::kernels
