// The plug-in's interface over its kernels as the host runs them (see tests/shim), which follow device
// pointers.
#include "plugin_interface.h"

#include <cstdlib>
#include <cstring>
#include <string_view>

#include "device_interface.h"
#include "device_memory.h"
#include "hopper_attention_interface.h"
#include "recording.h"

namespace {

struct Opened {
  Opened() { omni_host_gpu_open(); }
  ~Opened() { omni_host_gpu_close(); }
};

}  // namespace

// The kernels' own definitions of these names have the prefix host_.
#define OMNI_FORWARD(name, Arguments)                                            \
  extern "C" std::int32_t host_##name(const Arguments* arguments, void* stream); \
  extern "C" std::int32_t name(const Arguments* arguments, void* stream) {       \
    const auto launch = [](const void* given) {                                  \
      const Opened opened;                                                       \
      return host_##name(static_cast<const Arguments*>(given), nullptr);         \
    };                                                                           \
    (void)stream;                                                                \
    omni_host_gpu_note_launch(launch, arguments, sizeof *arguments);             \
    return launch(arguments);                                                    \
  }
OMNI_FORWARD(omni_cuda_add_norm, OmniCudaAddNorm)
OMNI_FORWARD(omni_cuda_attention_forward, OmniCudaAttention)
OMNI_FORWARD(omni_cuda_attention_backward, OmniCudaAttentionBackward)
OMNI_FORWARD(omni_cuda_hopper_attention_forward, OmniCudaAttention)
OMNI_FORWARD(omni_cuda_hopper_attention_backward, OmniCudaAttentionBackward)
OMNI_FORWARD(omni_cuda_token_sampling, OmniCudaTokenSampling)
OMNI_FORWARD(omni_cuda_cache_write, OmniCudaCacheWrite)
OMNI_FORWARD(omni_cuda_decode_attention, OmniCudaDecodeAttention)
OMNI_FORWARD(omni_cuda_decode_launch, OmniCudaDecodePlan)
// Of training alone.
OMNI_FORWARD(omni_cuda_swiglu, OmniCudaSwiglu)
OMNI_FORWARD(omni_cuda_swiglu_backward, OmniCudaSwiglu)
OMNI_FORWARD(omni_cuda_adamw, OmniCudaAdamW)
OMNI_FORWARD(omni_cuda_norm_gradient, OmniCudaNormGradient)
OMNI_FORWARD(omni_cuda_head_rotation, OmniCudaHeadRotation)
OMNI_FORWARD(omni_cuda_head_rotation_gradient, OmniCudaHeadRotationGradient)
OMNI_FORWARD(omni_cuda_cross_entropy, OmniCudaCrossEntropy)
OMNI_FORWARD(omni_cuda_gather, OmniCudaGather)
OMNI_FORWARD(omni_cuda_code_shares, OmniCudaCodeShares)
OMNI_FORWARD(omni_cuda_add_rows, OmniCudaAddRows)
OMNI_FORWARD(omni_cuda_code_gradient, OmniCudaCodeGradient)

extern "C" std::int32_t omni_cuda_interface() { return kOmniCudaInterface; }
extern "C" std::int32_t omni_cuda_device_count() { return 1; }

// Of a kind that OMNI_HOST_GPU_KIND says: "75 Tesla T4".
extern "C" std::int32_t omni_cuda_device(OmniCudaDevice* told) {
  const char* kind = std::getenv("OMNI_HOST_GPU_KIND");
  const std::string_view text = kind != nullptr ? kind : "90 the host";
  told->major = text[0] - '0';
  told->minor = text[1] - '0';
  const std::string_view name = text.substr(3);
  std::memcpy(told->name, name.data(), name.size());
  told->name[name.size()] = '\0';
  return 0;
}
