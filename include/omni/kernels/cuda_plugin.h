#pragma once

#include <string>
#include <string_view>

namespace omni::kernels {

// libomni_cuda.so holds the GPU kernels, so that the same program runs on machines without CUDA. It is looked
// for once, when first asked for: at OMNI_CUDA_PLUGIN, beside the program, in ../lib and .. of the program,
// then where the loader looks.
struct CudaPluginStatus {
  bool loaded = false;
  int devices = 0;     // GPUs that the plug-in sees
  std::string detail;  // the file that was loaded, or why none was
};
const CudaPluginStatus& cuda_plugin_status();
// Why no GPU can be used; empty where one can. The first call loads LibTorch's CUDA half, without which there
// are no tensors on a GPU. Nothing may ask LibTorch itself for GPUs earlier: it remembers the answer.
const std::string& gpu_refusal();
// Throws Error(usage) with the reason where no GPU can be used; `work` names what
// was to run there, such as "sampling".
void require_gpu(std::string_view work);

// A GPU that the plug-in sees, by its number.
struct GpuDescription {
  std::string name;          // "NVIDIA H100 80GB HBM3"
  int major = 0, minor = 0;  // compute capability

  std::string text() const;  // "NVIDIA H100 80GB HBM3 (sm_90)"
};
GpuDescription describe_gpu(int device);
// Also throws Error(usage) with the GPU's name where the kernels are for newer ones (sm_80 and on).
void require_capable_gpu(std::string_view work, int device);

}  // namespace omni::kernels
