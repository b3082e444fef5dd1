#pragma once

#include "omni/kernels/drawn_token.h"
#include "token_sampling_interface.h"

namespace omni::kernels {

inline DrawFault draw_fault(std::int32_t status) {
  if (status == kOmniCudaSampled) return DrawFault::none;
  return status == kOmniCudaNotFinite ? DrawFault::not_finite : DrawFault::no_token;
}

}  // namespace omni::kernels
