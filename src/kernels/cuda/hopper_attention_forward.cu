#include "hopper_attention_forward.cuh"

#include "hopper_attention_launch.h"

namespace omni::cuda {
namespace {

template <int kHead>
int forward_call(HopperForward& call, const OmniCudaAttention& a) {
  using Shape = HopperForwardShape<kHead>;
  call.attention = a;
  int status = query_map(call.query, a, a.query, kHopperRows);
  if (status == kSuccess) status = key_map(call.key, a, a.key, Shape::kKeys);
  if (status == kSuccess) status = key_map(call.value, a, a.value, Shape::kKeys);
  return status;
}

// Whether the driver maps these tensors: told before a step starts, not in its middle.
struct MakeMaps {
  template <int kHead>
  static int run(const OmniCudaAttention& a) {
    HopperForward call{};
    return forward_call<kHead>(call, a);
  }
};

struct LaunchHopperForward {
  template <int kHead>
  static int run(const OmniCudaAttention& a, void* stream) {
    using Shape = HopperForwardShape<kHead>;
    HopperForward call{};
    const int status = forward_call<kHead>(call, a);
    if (status != kSuccess) return status;
    const dim3 grid(blocks_over(a.query_rows, kHopperRows), static_cast<unsigned>(a.heads));
    return OMNI_LAUNCH(hopper_attention_forward<kHead>, grid, dim3(kHopperThreads), Shape::kSharedBytes,
                       stream, call);
  }
};

}  // namespace
}  // namespace omni::cuda

extern "C" std::int32_t omni_cuda_hopper_attention_supports(const OmniCudaAttention* arguments) {
  using namespace omni::cuda;
  if (!holds_hopper_code()) return kOmniCudaNoHopperCode;
  const OmniCudaAttention& a = *arguments;
  return takes_hopper_call(a) && (has_nothing_to_do(a) || for_hopper_head<MakeMaps>(a, a) == kSuccess) ? 1
                                                                                                       : 0;
}

extern "C" std::int32_t omni_cuda_hopper_attention_forward(const OmniCudaAttention* arguments, void* stream) {
  using namespace omni::cuda;
  if (!takes_hopper_call(*arguments) || !is_aligned(arguments->output)) return kOmniCudaUnsupported;
  if (has_nothing_to_do(*arguments)) return omni_cuda_attention_forward(arguments, stream);
  return for_hopper_head<LaunchHopperForward>(*arguments, *arguments, stream);
}
