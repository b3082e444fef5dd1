#pragma once

#include <cstdint>

#include "types.h"

// The C interface of products of a few rows with a weight that is read once, the GPU's side of
// omni/kernels/decode_linear.h: the same int8 scheme, so that the same integers are summed.
extern "C" {

enum OmniCudaDecodeFormat : std::int32_t { kOmniCudaDecodeBf16 = 0, kOmniCudaDecodeInt8 = 1 };

constexpr std::int32_t kOmniCudaMostDecodeRows = 8;
constexpr std::int32_t kOmniCudaMostRuns = 8;

// A weight [outputs, inputs], row by row, at a multiple of 16 bytes.
struct OmniCudaDecodeMatrix {
  const void* weight;        // bf16, or int8 with scales and sums
  const float* scales;       // [outputs]: a weight is its int8 times the scale of its output
  const std::int32_t* sums;  // [outputs]: of the int8
  const float* bias;         // [outputs] or null
  std::int64_t outputs, inputs;
  OmniCudaDecodeFormat format;
};

// Rows as 16-bit fixed point: x = (256 upper + lower + 128) scale, all zero with scale 0, scale NaN where an
// x is not finite.
struct OmniCudaDecodeFixedRows {
  const void* x;  // [rows, width] bf16
  signed char* upper;
  signed char* lower;  // both [rows, width], at multiples of 16 bytes
  float* scales;       // [rows]
  std::int64_t width;
  std::int32_t rows;
};

struct OmniCudaDecodeProduct {
  OmniCudaDecodeMatrix matrix;
  const void* x;                  // [rows, inputs] bf16, for a weight in bf16
  OmniCudaDecodeFixedRows fixed;  // for one in int8; its x has no say
  // In device memory: kOmniCudaMostRuns pairs of first output and count, disjoint, of the outputs that are
  // wanted; the others are not written. Null: all.
  const std::int32_t* runs;
  void* y;  // [rows, outputs]
  std::int32_t rows;
  OmniCudaType type;  // of y: bf16 or fp32
};

using OmniCudaDecodeFixedRowsFunction = std::int32_t (*)(const OmniCudaDecodeFixedRows*, void* stream);
using OmniCudaDecodeProductFunction = std::int32_t (*)(const OmniCudaDecodeProduct*, void* stream);

// One launch each, no wait. kOmniCudaUnsupported for more rows, for inputs that are no multiple of 8 (bf16)
// or 16 (int8), and for other types and alignments.
std::int32_t omni_cuda_decode_fixed_rows(const OmniCudaDecodeFixedRows* arguments, void* stream);
std::int32_t omni_cuda_decode_product(const OmniCudaDecodeProduct* arguments, void* stream);
}
