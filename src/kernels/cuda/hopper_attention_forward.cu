#include "hopper_attention_forward.cuh"

#include "hopper_attention_launch.h"

namespace omni::cuda {
namespace {

struct LaunchHopperForward {
  template <int kHead>
  static int run(const OmniCudaAttention& a, void* stream) {
    using Shape = HopperForwardShape<kHead>;
    HopperForward call{};
    call.attention = a;
    int status = query_map(call.query, a, a.query, kHopperRows);
    if (status == kSuccess) status = key_map(call.key, a, a.key, Shape::kKeys);
    if (status == kSuccess) status = key_map(call.value, a, a.value, Shape::kKeys);
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
  const OmniCudaAttention& a = *arguments;
  return omni_cuda_attention_supports(arguments) && a.type == kOmniCudaBfloat16 && a.head_size >= 64 &&
                 a.head_size <= 128 && a.query_rows > 0 && a.key_rows > 0 &&
                 has_copied_strides(a.query, a.query_rows, a.heads) &&
                 has_copied_strides(a.key, a.key_rows, a.key_value_heads) &&
                 has_copied_strides(a.value, a.key_rows, a.key_value_heads) && is_hopper()
             ? 1
             : 0;
}

extern "C" std::int32_t omni_cuda_hopper_attention_forward(const OmniCudaAttention* arguments, void* stream) {
  using namespace omni::cuda;
  if (!omni_cuda_hopper_attention_supports(arguments) || !is_aligned(arguments->output))
    return kOmniCudaUnsupported;
  return for_hopper_head<LaunchHopperForward>(*arguments, *arguments, stream);
}
