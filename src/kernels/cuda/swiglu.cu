#include "swiglu.cuh"

namespace {

using namespace omni::cuda;

template <class T, int kCount>
int launch(const OmniCudaSwiglu& a, bool backward, void* stream) {
  const std::int64_t pieces = a.rows * (a.width / kCount);
  if (pieces > kMaximumPieces) return kOmniCudaUnsupported;
  const dim3 grid(blocks_over(pieces, kSwigluThreads));
  return OMNI_LAUNCH(backward ? swiglu_backward<T, kCount> : swiglu_forward<T, kCount>, grid,
                     dim3(kSwigluThreads), 0, stream, a);
}

template <class T>
int launch(const OmniCudaSwiglu& a, bool backward, void* stream) {
  if (a.rows == 0 || a.width == 0) return kSuccess;
  return vectors_cover<T>(a.width, a.gate_up, a.output_gradient, a.output)
             ? launch<T, kVector<T>>(a, backward, stream)
             : launch<T, 1>(a, backward, stream);
}

int launch(const OmniCudaSwiglu& a, bool backward, void* stream) {
  if (a.type == kOmniCudaBfloat16) return launch<__nv_bfloat16>(a, backward, stream);
  return a.type == kOmniCudaFloat ? launch<float>(a, backward, stream) : kOmniCudaUnsupported;
}

}  // namespace

extern "C" std::int32_t omni_cuda_swiglu(const OmniCudaSwiglu* arguments, void* stream) {
  return launch(*arguments, false, stream);
}
extern "C" std::int32_t omni_cuda_swiglu_backward(const OmniCudaSwiglu* arguments, void* stream) {
  return launch(*arguments, true, stream);
}
