#include "omni/kernels/linear_products.h"

#include "gradients.h"
#include "library_products.h"
#include "linear_panels.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {
namespace {

using at::Tensor;

constexpr std::int64_t kPanelsPerThread = 4;  // laid out faster than another thread wakes up

bool has_panels(const Tensor& matrix) {
  return matrix.is_cpu() && matrix.scalar_type() == at::kBFloat16 && matrix.dim() == 2 &&
         matrix.is_contiguous() && matrix.size(1) > 0 && matrix.size(1) % kLinearColumns == 0;
}

Tensor empty_panels(std::int64_t panels, std::int64_t lanes) {
  return at::empty({panels, lanes, kLinearPanel}, at::TensorOptions(at::kFloat));
}

// left [n, depth] times panels -> [n, columns]
Tensor multiplied(const Tensor& left, const Tensor& panels, std::int64_t columns) {
  Tensor out = at::empty({left.size(0), columns}, left.options());
  const Bf16Matrix rows = view_of(left);
  const auto* right = panels.const_data_ptr<float>();
  std::uint16_t* target = elements_of(out);
  for_linear_blocks(rows.rows, [&](std::int64_t first, std::int64_t last) {
    linear_kernels()->multiply(rows, {first, last}, right, columns, target);
  });
  return out;
}

// One of the sides of a weight gradient, cut into pieces along the rows that are summed over.
struct Pieces {
  static constexpr std::int64_t kRows = 1024;
  std::int64_t rows;

  std::int64_t count() const { return (rows + kRows - 1) / kRows; }
  RowRange rows_of(std::int64_t piece) const { return {piece * kRows, std::min(rows, (piece + 1) * kRows)}; }
  std::int64_t lanes(std::int64_t piece) const {
    return (rows_of(piece).last - rows_of(piece).first + 1) / 2;
  }
};

// All panels of a matrix, those of a piece together.
Tensor panels_by_piece(const Bf16Matrix& matrix, const Pieces& pieces) {
  const std::int64_t panels = matrix.panels();
  Tensor out = empty_panels(panels, (matrix.rows + 1) / 2);
  auto* lanes = out.mutable_data_ptr<float>();
  at::parallel_for(0, pieces.count(), 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t piece = first; piece < last; ++piece)
      linear_kernels()->lay_rows(matrix, pieces.rows_of(piece), {0, panels},
                                 lanes + piece * Pieces::kRows / 2 * panels * kLinearPanel);
  });
  return out;
}

}  // namespace

bool has_linear_kernel(const Tensor& rows, const Tensor& matrix) {
  return linear_kernels() != nullptr && has_panels(rows) && has_panels(matrix) &&
         rows.size(0) >= kFewestLinearRows;
}

Bf16Matrix view_of(const Tensor& matrix) {
  return {static_cast<const std::uint16_t*>(matrix.const_data_ptr()), matrix.size(0), matrix.size(1),
          matrix.size(1)};
}

Tensor transposed_panels(const Tensor& weight) {
  const Bf16Matrix matrix = view_of(weight);
  const std::int64_t count = (matrix.rows + kLinearPanel - 1) / kLinearPanel, lanes = matrix.columns / 2;
  Tensor panels = empty_panels(count, lanes);
  auto* out = panels.mutable_data_ptr<float>();
  at::parallel_for(0, count, kPanelsPerThread, [&](std::int64_t first, std::int64_t last) {
    linear_kernels()->lay_transposed(matrix, {first, last}, out + first * lanes * kLinearPanel);
  });
  return panels;
}

Tensor row_panels(const Tensor& weight) {
  const Bf16Matrix matrix = view_of(weight);
  const std::int64_t lanes = matrix.rows / 2;
  Tensor panels = empty_panels(matrix.panels(), lanes);
  auto* out = panels.mutable_data_ptr<float>();
  at::parallel_for(0, matrix.panels(), kPanelsPerThread, [&](std::int64_t first, std::int64_t last) {
    linear_kernels()->lay_rows(matrix, {0, matrix.rows}, {first, last}, out + first * lanes * kLinearPanel);
  });
  return panels;
}

Tensor linear_rows(const Tensor& x, const Tensor& weight) {
  if (!has_linear_kernel(x, weight) || weight.size(0) % kLinearColumns != 0 || x.size(1) > kDeepestLinear)
    return product(x, weight.t());
  const ProfiledRange profiled("omni::linear_rows");
  return multiplied(x, transposed_panels(weight), weight.size(0));
}

Tensor linear_input_gradient(const Tensor& incoming, const Tensor& weight) {
  if (!has_linear_kernel(incoming, weight) || weight.size(0) > kDeepestLinear)
    return product(incoming, weight);
  const ProfiledRange profiled("omni::linear_input_gradient");
  return multiplied(incoming, row_panels(weight), weight.size(1));
}

Tensor linear_weight_gradient(const Tensor& incoming, const Tensor& x) {
  if (gives_wide_sums(x)) return at::mm(incoming.t(), x, at::kFloat);
  if (!has_linear_kernel(incoming, x)) return wide_product(incoming.t(), x);
  const ProfiledRange profiled("omni::linear_weight_gradient");
  Tensor gradient = at::empty({incoming.size(1), x.size(1)}, x.options().dtype(at::kFloat));
  auto* sums = gradient.mutable_data_ptr<float>();
  const std::int64_t stride = x.size(1);
  // The smaller side is laid out beforehand; each thread lays out its part of the larger one, a few panels at a time.
  const bool left_is_smaller = incoming.size(1) < x.size(1);
  const Bf16Matrix small = view_of(left_is_smaller ? incoming : x),
                   large = view_of(left_is_smaller ? x : incoming);
  const Pieces pieces{x.size(0)};
  const Tensor laid = panels_by_piece(small, pieces);
  at::parallel_for(0, large.panels(), 1, [&](std::int64_t first, std::int64_t last) {
    constexpr std::int64_t kPanels = 4;
    const Tensor own = empty_panels(kPanels, Pieces::kRows / 2);
    auto* panels = own.mutable_data_ptr<float>();
    for (std::int64_t panel = first; panel < last; panel += kPanels) {
      const std::int64_t end = std::min(last, panel + kPanels), column = panel * kLinearPanel;
      const std::int64_t columns = std::min(large.columns, end * kLinearPanel) - column;
      for (std::int64_t piece = 0; piece < pieces.count(); ++piece) {
        linear_kernels()->lay_rows(large, pieces.rows_of(piece), {panel, end}, panels);
        const auto* other =
            laid.const_data_ptr<float>() + piece * Pieces::kRows / 2 * small.panels() * kLinearPanel;
        if (left_is_smaller)
          linear_kernels()->multiply_panels(other, small.columns, panels, columns, pieces.lanes(piece),
                                            sums + column, stride, piece > 0);
        else
          linear_kernels()->multiply_panels(panels, columns, other, small.columns, pieces.lanes(piece),
                                            sums + column * stride, stride, piece > 0);
      }
    }
  });
  return gradient;
}

}  // namespace omni::kernels
