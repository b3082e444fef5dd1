#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "omni/kernels/fused_kernels.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Rows of a table that classes start from: those of codes are table row + codebook row projection^T.
struct ClassCodebook {
  at::Tensor codebook;    // [size, dimension] fp32, not trained
  at::Tensor projection;  // [width, dimension] fp32
};
struct ClassTable {
  at::Tensor table;  // [rows, width] fp32; a leaf where it is trained
  at::Tensor cast;   // the same values in the type of the hidden rows: `table` itself where that is fp32
  std::vector<ClassCodebook> codebooks;
};

// Rows of the table that are classes, side by side: first, first + 1, ...
struct ClassRun {
  std::int64_t first = 0, size = 0;
  std::int64_t codebook = -1;   // whose rows are added; -1: none
  std::int64_t first_code = 0;  // the row of it that is added to the first class
};
// The column of each run's first logit, and how many columns there are: each run starts at a multiple of 16
// bytes, as matrix units want it. What lies between is no class.
std::vector<std::int64_t> class_columns(std::span<const ClassRun> runs);

// Cross-entropy of rows of logits, each against one class.
struct RowCrossEntropy {
  at::Tensor objective;  // fp32 scalar with graph: sum of weights x (loss + z_loss x log_sum^2)
  at::Tensor losses;     // [n] fp32, detached and unweighted
  at::Tensor correct;    // [n] bool
};
// hidden [n, width] fp32, bf16 or fp16; targets [n] int32, the columns of their logits; weights [n] fp32; all
// contiguous. Logits are hidden class^T, computed and stored in the type of hidden, at most 128 MiB of them at
// a time (or 128 rows), and nothing larger is formed: larger sets are computed once more in the backward pass,
// chunk by chunk. The gradient of a table that is trained is added to its .grad, which is made where there is
// none.
RowCrossEntropy row_cross_entropy(const at::Tensor& hidden, const ClassTable& classes,
                                  std::span<const ClassRun> runs, const at::Tensor& targets,
                                  const at::Tensor& weights, double z_loss,
                                  KernelPath path = KernelPath::library);

}  // namespace omni::kernels
