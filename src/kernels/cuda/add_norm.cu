#include "add_norm.cuh"

namespace {

template <class T>
int launch(const OmniCudaAddNorm& a, void* stream) {
  using namespace omni::cuda;
  return OMNI_LAUNCH(add_norm<T>, dim3(static_cast<unsigned>(a.rows)), dim3(kNormThreads), kNormSharedBytes,
                     stream, a);
}

}  // namespace

extern "C" std::int32_t omni_cuda_add_norm(const OmniCudaAddNorm* arguments, void* stream) {
  if (arguments->rows == 0) return omni::cuda::kSuccess;
  return arguments->type == kOmniCudaBfloat16 ? launch<__nv_bfloat16>(*arguments, stream)
                                              : launch<float>(*arguments, stream);
}
