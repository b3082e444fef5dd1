#pragma once

#include <cstdint>

// What the C interfaces of libomni_cuda.so share.
extern "C" {

enum OmniCudaType : std::int32_t { kOmniCudaFloat = 0, kOmniCudaBfloat16 = 1, kOmniCudaFloat16 = 2 };

// A launcher's answer to shapes, types, alignments or devices that it has no kernel for; cudaError_t is never
// negative.
constexpr std::int32_t kOmniCudaUnsupported = -1;
}
