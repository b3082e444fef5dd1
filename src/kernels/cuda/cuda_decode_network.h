#pragma once

#include <span>
#include <string>

#include "decode_plan_interface.h"
#include "omni/kernels/cuda_decode_step.h"

// What the kernels of a decoding step are told of a network, and what they cannot take.
namespace omni::kernels {

OmniCudaDecodeMatrix decode_plan_matrix(const CudaDecodeMatrix& matrix);

// Attention over a block's cache by a step of kMostRows rows, without its pointers to rows and results.
OmniCudaDecodeAttention decode_plan_attention(const CudaDecodeNetwork& network, const KeyValueCache& cache);

// The network's part of a plan: weights and sizes; `layers` of the plan are left to the caller.
OmniCudaDecodePlan decode_plan_of(const CudaDecodeNetwork& network);
std::vector<OmniCudaDecodeLayer> decode_plan_layers(const CudaDecodeNetwork& network);

// See CudaDecodeStep::refusal().
std::string decode_network_refusal(const CudaDecodeNetwork& network);

// Throws Error(internal) for what the kernels would follow beyond the memory. `drawn`: rows may show what was
// drawn before.
void check_decode_rows(const CudaDecodeNetwork& network, std::span<const CudaDecodeStepRow> rows, bool drawn);

}  // namespace omni::kernels
