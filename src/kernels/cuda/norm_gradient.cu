#include "column_sums.cuh"
#include "norm_gradient.cuh"

namespace {

using namespace omni::cuda;

template <class T, int kSlots>
int launch(const OmniCudaNormGradient& a, void* stream) {
  const unsigned blocks = blocks_over(a.rows, kOmniCudaNormGradientRows);
  const int status = OMNI_LAUNCH(norm_gradient<T, kSlots>, dim3(blocks), dim3(kNormGradientThreads),
                                 kNormGradientSharedBytes, stream, a);
  if (status != kSuccess || !a.weight_gradient) return status;
  return launch_column_sums(a.partial, a.weight_gradient, blocks, a.width, stream);
}

template <class T>
int launch(const OmniCudaNormGradient& a, void* stream) {
  if (a.width <= 4 * kNormGradientThreads) return launch<T, 4>(a, stream);
  if (a.width <= 8 * kNormGradientThreads) return launch<T, 8>(a, stream);
  if (a.width <= 16 * kNormGradientThreads) return launch<T, 16>(a, stream);
  return launch<T, 32>(a, stream);
}

}  // namespace

extern "C" std::int32_t omni_cuda_norm_gradient(const OmniCudaNormGradient* arguments, void* stream) {
  const OmniCudaNormGradient& a = *arguments;
  if (a.width > kOmniCudaNormGradientWidth) return kOmniCudaUnsupported;
  if (a.rows == 0)
    return a.weight_gradient ? fill_zero(a.weight_gradient, a.width * sizeof(float), stream) : kSuccess;
  if (a.type == kOmniCudaBfloat16) return launch<__nv_bfloat16>(a, stream);
  return a.type == kOmniCudaFloat ? launch<float>(a, stream) : kOmniCudaUnsupported;
}
