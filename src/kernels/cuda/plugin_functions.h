#pragma once

#include "device_interface.h"
#include "hopper_attention_functions.h"
#include "omni/kernels/cuda_plugin.h"
#include "plugin_interface.h"
#include "training_kernels.h"

namespace omni::kernels {

struct CudaPlugin {
  CudaPluginStatus status;
  OmniCudaDeviceFunction device = nullptr;
  OmniCudaAddNormFunction add_norm = nullptr;
  OmniCudaAttentionFunction attention_forward = nullptr;
  OmniCudaAttentionBackwardFunction attention_backward = nullptr;
  OmniCudaAttentionSupportsFunction attention_supports = nullptr;
  OmniCudaAttentionAtomicFunction attention_atomic = nullptr;
  OmniCudaTokenSamplingFunction token_sampling = nullptr;
  OmniCudaTokenSamplingWorkspaceFunction token_sampling_workspace = nullptr;
  OmniCudaCacheWriteFunction cache_write = nullptr;
  OmniCudaDecodeAttentionFunction decode_attention = nullptr;
  OmniCudaDecodeAttentionSupportsFunction decode_attention_supports = nullptr;
  OmniCudaDecodeAttentionWorkspaceFunction decode_attention_workspace = nullptr;
  OmniCudaDecodeLaunchFunction decode_launch = nullptr;
  OmniCudaDecodeCaptureFunction decode_capture = nullptr;
  OmniCudaDecodeGraphLaunchFunction decode_graph_launch = nullptr;
  OmniCudaDecodeDestroyFunction decode_destroy = nullptr;
  CudaTrainingKernels training;
  HopperAttentionFunctions hopper_attention;
};
const CudaPlugin& cuda_plugin();

}  // namespace omni::kernels
