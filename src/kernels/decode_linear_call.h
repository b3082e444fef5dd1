#pragma once

#include "cpu/decode_linear_kernels.h"
#include "omni/kernels/decode_linear.h"

namespace omni::kernels {

// The weight's part of a call, all its outputs; as long as the weight lives.
DecodeLinearCall call_of(const DecodeWeight& weight);

}  // namespace omni::kernels
