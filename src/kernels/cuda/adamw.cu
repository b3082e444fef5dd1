#include "adamw.cuh"

namespace {

using namespace omni::cuda;

template <int kCount>
int launch(const OmniCudaAdamW& a, void* stream) {
  const dim3 grid(blocks_over(a.count / kCount, kAdamWThreads * kAdamWVectors));
  return OMNI_LAUNCH(adamw<kCount>, grid, dim3(kAdamWThreads), kAdamWSharedBytes, stream, a);
}

}  // namespace

extern "C" std::int32_t omni_cuda_adamw(const OmniCudaAdamW* arguments, void* stream) {
  const OmniCudaAdamW& a = *arguments;
  if (a.count == 0) return kSuccess;
  return vectors_cover<float>(a.count, a.masters, a.first_moment, a.second_moment, a.gradients, a.values)
             ? launch<4>(a, stream)
             : launch<1>(a, stream);
}
