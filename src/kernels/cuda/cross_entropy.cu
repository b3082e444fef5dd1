#include "cross_entropy.cuh"

namespace {

using namespace omni::cuda;

constexpr std::int64_t kColumnsOfOneWarp = 1024;  // at most

template <class T, int kCount, int kWarps>
int launch(const OmniCudaCrossEntropy& a, void* stream) {
  constexpr int kRows = kCrossEntropyWarps / kWarps;
  constexpr std::size_t kSharedBytes = kWarps > 1 ? kWarps * sizeof(PartialSoftmax) : 0;
  return OMNI_LAUNCH(cross_entropy<T, kCount, kWarps>, dim3(blocks_over(a.rows, kRows)),
                     dim3(kCrossEntropyThreads), kSharedBytes, stream, a);
}

template <class T, int kCount>
int launch(const OmniCudaCrossEntropy& a, void* stream) {
  return a.columns <= kColumnsOfOneWarp ? launch<T, kCount, 1>(a, stream)
                                        : launch<T, kCount, kCrossEntropyWarps>(a, stream);
}

template <class T>
int launch(const OmniCudaCrossEntropy& a, void* stream) {
  return vectors_cover<T>(a.columns, a.logits) ? launch<T, kVector<T>>(a, stream) : launch<T, 1>(a, stream);
}

}  // namespace

extern "C" std::int32_t omni_cuda_cross_entropy(const OmniCudaCrossEntropy* arguments, void* stream) {
  const OmniCudaCrossEntropy& a = *arguments;
  if (a.columns > (std::int64_t{1} << 30)) return kOmniCudaUnsupported;
  if (a.rows == 0) return kSuccess;
  if (a.type == kOmniCudaBfloat16) return launch<__nv_bfloat16>(a, stream);
  return a.type == kOmniCudaFloat ? launch<float>(a, stream) : kOmniCudaUnsupported;
}
