#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Row-wise kernels are called for chunks of rows, whatever the number of threads.
inline constexpr std::int64_t kChunkRows = 128;

// body(chunk, first_row, last_row)
template <class Body>
void for_row_chunks(std::int64_t rows, const Body& body) {
  const std::int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  at::parallel_for(0, chunks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t chunk = first; chunk < last; ++chunk)
      body(chunk, chunk * kChunkRows, std::min(rows, (chunk + 1) * kChunkRows));
  });
}

// Whether there are row-wise kernels for its device and type.
inline bool has_row_kernel(const at::Tensor& tensor) {
  return tensor.device().is_cpu() &&
         (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16);
}

}  // namespace omni::kernels
