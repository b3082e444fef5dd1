#pragma once

#include "cuda/plugin.h"
#include "omni/kernels/cuda_plugin.h"

namespace omni::kernels {

struct CudaPlugin {
  CudaPluginStatus status;
  OmniCudaAddNormFunction add_norm = nullptr;
};
const CudaPlugin& cuda_plugin();

}  // namespace omni::kernels
