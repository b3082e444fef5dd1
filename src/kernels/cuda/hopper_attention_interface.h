#pragma once

#include <cstdint>

#include "packed_attention_interface.h"

// What `supports` answers where the library holds no code of sm_90a.
constexpr std::int32_t kOmniCudaNoHopperCode = -1;

// Attention by the instructions of Hopper (sm_90a): warp-group products and bulk copies. Arguments, results and
// errors are those of packed_attention_interface.h; bf16, head sizes from 64 to 128, strides above 0.
// The gradient always takes the deterministic way: query_sums is not used.
extern "C" {
std::int32_t omni_cuda_hopper_attention_forward(const OmniCudaAttention* arguments, void* stream);
std::int32_t omni_cuda_hopper_attention_backward(const OmniCudaAttentionBackward* arguments, void* stream);
// As omni_cuda_attention_supports: 1 yes, 0 no or kOmniCudaNoHopperCode.
std::int32_t omni_cuda_hopper_attention_supports(const OmniCudaAttention* arguments);
}
