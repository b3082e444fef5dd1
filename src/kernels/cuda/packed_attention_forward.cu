#include "packed_attention_forward.cuh"
#include "packed_attention_shapes.cuh"

namespace omni::cuda {
namespace {

struct LaunchForward {
  template <class T, int kHead>
  static int run(const OmniCudaAttention& a, void* stream) {
    using Shape = ForwardShape<T, kHead>;
    const dim3 grid(static_cast<unsigned>((a.query_rows + Shape::kQueries - 1) / Shape::kQueries),
                    static_cast<unsigned>(a.heads));
    return OMNI_LAUNCH((attention_forward<T, kHead>), grid, dim3(Shape::kThreads), Shape::kSharedBytes,
                       stream, a);
  }
};

}  // namespace
}  // namespace omni::cuda

extern "C" std::int32_t omni_cuda_attention_forward(const OmniCudaAttention* arguments, void* stream) {
  using namespace omni::cuda;
  if (!omni_cuda_attention_supports(arguments) || !is_aligned(arguments->output)) return kOmniCudaUnsupported;
  if (arguments->query_rows == 0) return kSuccess;
  return for_shape<LaunchForward>(arguments->type, arguments->head_size, *arguments, stream);
}
