#pragma once

#include <ATen/Parallel.h>

#include <algorithm>

#include "cpu/linear_kernels.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// What the products of linear layers that are made here share; see cpu/linear_kernels.h.

// Summed over in one go: more would leave the second cache.
inline constexpr std::int64_t kDeepestLinear = 4096;
// Below, laying out a weight costs more than it saves.
inline constexpr std::int64_t kFewestLinearRows = 64;
// That a thread takes at once, through the second cache.
inline constexpr std::int64_t kLinearBlockRows = 64;

// Whether products of many rows with the matrix are made here.
bool has_linear_kernel(const at::Tensor& rows, const at::Tensor& matrix);

Bf16Matrix view_of(const at::Tensor& matrix);
inline std::uint16_t* elements_of(const at::Tensor& matrix) {
  return static_cast<std::uint16_t*>(matrix.mutable_data_ptr());
}

// Panels for products with weight [m, k], bf16: with its transpose, which sum over k, and with itself, over m.
at::Tensor transposed_panels(const at::Tensor& weight);
at::Tensor row_panels(const at::Tensor& weight);

// body(first_row, last_row) for blocks of rows.
template <class Body>
void for_linear_blocks(std::int64_t rows, const Body& body) {
  at::parallel_for(0, (rows + kLinearBlockRows - 1) / kLinearBlockRows, 1,
                   [&](std::int64_t first, std::int64_t last) {
                     for (std::int64_t block = first; block < last; ++block)
                       body(block * kLinearBlockRows, std::min(rows, (block + 1) * kLinearBlockRows));
                   });
}

}  // namespace omni::kernels
