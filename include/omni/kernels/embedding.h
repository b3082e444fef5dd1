#pragma once

#include <span>

#include "omni/kernels/fused_kernels.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Rows of a table that start from a codebook: those of codes are table row + codebook row projection^T.
struct EmbeddedCodes {
  at::Tensor codebook;     // [size, dimension] fp32, not trained
  at::Tensor projection;   // [width, dimension] fp32
  at::Tensor positions;    // [k] int64: which of the embedded rows are such codes, each once
  at::Tensor codes;        // [k] int64: their rows of the codebook; -1, at any position, adds nothing
  bool all_there = false;  // none of them is -1
};

// Rows of `table` [rows, width] fp32 at `indices` [n] int64, with the codebooks' share for codes alone
// -> [n, width] fp32. A table that is trained must be a leaf: its gradient is added to its .grad, which is
// made where there is none, and no gradient of the table's size is formed on the way.
at::Tensor embed(const at::Tensor& table, const at::Tensor& indices,
                 std::span<const EmbeddedCodes> codes = {}, KernelPath path = KernelPath::library);

}  // namespace omni::kernels
