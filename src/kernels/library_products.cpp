#include "library_products.h"

#include <algorithm>

#include "omni/kernels/widened.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// Numbers of fp32 that a piece of a matrix holds, few beside what a step keeps; rows or columns of a long one: of fewer the
// products would be slow; and what is summed at a time.
constexpr std::int64_t kPieceNumbers = 1 << 18, kFewest = 256, kDeepest = 4096;

std::int64_t piece_of(std::int64_t count, std::int64_t length) {
  const std::int64_t most = std::max(kFewest, kPieceNumbers / std::max<std::int64_t>(1, length));
  return std::clamp<std::int64_t>(count, 1, most);
}

// left right in fp32, of bf16 matrices.
Tensor widened_sums(const Tensor& left, const Tensor& right) {
  Tensor sums;
  for (std::int64_t first = 0; first == 0 || first < left.size(1); first += kDeepest) {
    const std::int64_t count = std::min(kDeepest, left.size(1) - first);
    const Tensor rows = left.narrow(1, first, count).to(at::kFloat);
    const Tensor columns = right.narrow(0, first, count).to(at::kFloat);
    sums = first == 0 ? at::mm(rows, columns) : sums.addmm_(rows, columns);
  }
  return sums;
}

Tensor widened_product(const Tensor& left, const Tensor& right, at::ScalarType type) {
  Tensor out = at::empty({left.size(0), right.size(1)}, left.options().dtype(type));
  put_widened_product(out, left, right, false);
  return out;
}

}  // namespace

void put_widened_product(const Tensor& out, const Tensor& left, const Tensor& right, bool added) {
  const std::int64_t rows = left.size(0), columns = right.size(1), depth = std::min(kDeepest, left.size(1));
  const std::int64_t wide = piece_of(columns, depth), high = piece_of(rows, std::max(depth, wide));
  for (std::int64_t column = 0; column < columns; column += wide)
    for (std::int64_t row = 0; row < rows; row += high) {
      const std::int64_t width = std::min(wide, columns - column), height = std::min(high, rows - row);
      const Tensor sums = widened_sums(left.narrow(0, row, height), right.narrow(1, column, width));
      const Tensor own = out.narrow(0, row, height).narrow(1, column, width);
      own.copy_(added ? sums.add_(own) : sums);
    }
}

Tensor product(const Tensor& left, const Tensor& right) {
  return is_widened(left) ? widened_product(left, right, left.scalar_type()) : at::mm(left, right);
}

void put_product(const Tensor& out, const Tensor& left, const Tensor& right) {
  if (is_widened(left)) return put_widened_product(out, left, right, false);
  Tensor own = out;
  at::mm_out(own, left, right);
}

void add_product(const Tensor& out, const Tensor& left, const Tensor& right) {
  if (is_widened(left)) return put_widened_product(out, left, right, true);
  out.addmm_(left, right);
}

Tensor wide_product(const Tensor& left, const Tensor& right) {
  return is_widened(left) ? widened_product(left, right, at::kFloat) : at::mm(left, right).to(at::kFloat);
}

}  // namespace omni::kernels
