#pragma once

#include <string>

namespace omni::kernels {

// libomni_cuda.so holds the GPU kernels, so that the same program runs where there is no CUDA. It is looked
// for once, when first asked for: at OMNI_CUDA_PLUGIN, beside the program, in ../lib of the program, then on
// the loader's path.
struct CudaPluginStatus {
  bool loaded = false;
  int devices = 0;     // GPUs that the plug-in sees
  std::string detail;  // the file that was loaded, or why none was
};
const CudaPluginStatus& cuda_plugin_status();

}  // namespace omni::kernels
