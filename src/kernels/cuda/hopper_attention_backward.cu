#include "hopper_attention_backward_keys.cuh"
#include "hopper_attention_backward_queries.cuh"
#include "hopper_attention_launch.h"
#include "packed_attention_backward_rows.cuh"

namespace omni::cuda {
namespace {

// Maps for tiles of so many queries and keys.
int backward_call(HopperBackward& call, const OmniCudaAttentionBackward& b, int queries, int keys) {
  const OmniCudaAttention& a = b.forward;
  call.attention = b;
  int status = query_map(call.query, a, a.query, queries);
  if (status == kSuccess) status = query_map(call.output_gradient, a, b.output_gradient, queries);
  if (status == kSuccess) status = key_map(call.key, a, a.key, keys);
  if (status == kSuccess) status = key_map(call.value, a, a.value, keys);
  return status;
}

struct LaunchHopperBackward {
  template <int kHead>
  static int run(const OmniCudaAttentionBackward& b, void* stream) {
    const OmniCudaAttention& a = b.forward;
    HopperBackward for_keys{}, for_queries{};
    int status = backward_call(for_keys, b, HopperKeyShape<kHead>::kQueries, kHopperRows);
    if (status == kSuccess)
      status = backward_call(for_queries, b, kHopperRows, HopperQueryShape<kHead>::kKeys);
    if (status != kSuccess) return status;

    const std::int64_t rows = static_cast<std::int64_t>(a.query_rows) * a.heads;
    status = OMNI_LAUNCH(attention_row_numbers<__nv_bfloat16>,
                         dim3(blocks_over(rows, kRowThreads / kDeltaLanes)), dim3(kRowThreads), 0, stream, b);
    if (status != kSuccess) return status;
    const dim3 key_grid(blocks_over(a.key_rows, kHopperRows), static_cast<unsigned>(a.key_value_heads));
    status = OMNI_LAUNCH(hopper_attention_key_gradient<kHead>, key_grid, dim3(kHopperThreads),
                         HopperKeyShape<kHead>::kSharedBytes, stream, for_keys);
    if (status != kSuccess) return status;
    const dim3 query_grid(blocks_over(a.query_rows, kHopperRows), static_cast<unsigned>(a.heads));
    return OMNI_LAUNCH(hopper_attention_query_gradient<kHead>, query_grid, dim3(kHopperThreads),
                       HopperQueryShape<kHead>::kSharedBytes, stream, for_queries);
  }
};

}  // namespace
}  // namespace omni::cuda

extern "C" std::int32_t omni_cuda_hopper_attention_backward(const OmniCudaAttentionBackward* arguments,
                                                            void* stream) {
  using namespace omni::cuda;
  const OmniCudaAttentionBackward& b = *arguments;
  const OmniCudaAttention& a = b.forward;
  if (!takes_hopper_call(a) || !is_aligned(a.output) || !is_aligned(b.output_gradient) ||
      !has_copied_strides(b.output_gradient, a.query_rows, a.heads) || !is_aligned(b.query_gradient) ||
      !is_aligned(b.key_gradient) || !is_aligned(b.value_gradient) || !is_aligned(b.row_numbers))
    return kOmniCudaUnsupported;
  if (has_nothing_to_do(a)) {
    OmniCudaAttentionBackward deterministic = b;
    deterministic.query_sums = nullptr;
    return omni_cuda_attention_backward(&deterministic, stream);
  }
  return for_hopper_head<LaunchHopperBackward>(a, b, stream);
}
