#pragma once

#include <cstdint>

#include "types.h"

// Rows of a table on the GPU, codebooks' shares of them, and their gradients, C interface of libomni_cuda.so; see
// omni/kernels/embedding.h. All fp32 but the int64 indices, contiguous, on the device.
extern "C" {

// output[i] = table[indices[i]]
struct OmniCudaGather {
  const float* table;           // [any, width]
  const std::int64_t* indices;  // [count]
  float* output;                // [count, width]
  std::int64_t count, width;
};

// output[positions[i]] += codebook[codes[i]] projection^T where there is a code, codes[i] >= 0
struct OmniCudaCodeShares {
  const float* codebook;                  // [any, dimension]
  const float* projection;                // [width, dimension]
  const std::int64_t *positions, *codes;  // [count]; positions of codes all different
  float* output;                          // [any, width]
  std::int64_t count, width, dimension;
};

constexpr std::int64_t kOmniCudaRowWindow = 32;  // sorted rows that one block adds up

// gradient[sorted[i]] += rows[order[i]], where sorted ascends; equal ones in their order, so that the sums have the same
// bits in every run.
struct OmniCudaAddRows {
  const float* rows;                   // [count, width]
  const std::int64_t *sorted, *order;  // [count]
  float* gradient;                     // [any, width], its rows `stride` apart
  float* partial;                      // workspace [ceil(count / kOmniCudaRowWindow), width]
  std::int64_t count, width, stride;
};

constexpr std::int64_t kOmniCudaCodeWindow = 256;  // codes that one block adds up

// gradient = the sum over i of rows[positions[i]]^T codebook[codes[i]] where codes[i] >= 0
struct OmniCudaCodeGradient {
  const float* rows;                      // [any, width]
  const float* codebook;                  // [any, dimension]
  const std::int64_t *positions, *codes;  // [count]
  float* gradient;                        // [width, dimension]
  float* partial;                         // workspace [ceil(count / kOmniCudaCodeWindow), width, dimension]
  std::int64_t count, width, dimension;
};

using OmniCudaGatherFunction = std::int32_t (*)(const OmniCudaGather*, void* stream);
using OmniCudaCodeSharesFunction = std::int32_t (*)(const OmniCudaCodeShares*, void* stream);
using OmniCudaAddRowsFunction = std::int32_t (*)(const OmniCudaAddRows*, void* stream);
using OmniCudaCodeGradientFunction = std::int32_t (*)(const OmniCudaCodeGradient*, void* stream);

std::int32_t omni_cuda_gather(const OmniCudaGather* arguments, void* stream);
std::int32_t omni_cuda_code_shares(const OmniCudaCodeShares* arguments, void* stream);
std::int32_t omni_cuda_add_rows(const OmniCudaAddRows* arguments, void* stream);
std::int32_t omni_cuda_code_gradient(const OmniCudaCodeGradient* arguments, void* stream);
}
