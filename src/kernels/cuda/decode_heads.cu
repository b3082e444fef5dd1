#include "decode_heads.cuh"

namespace omni::cuda {
namespace {

template <class E>
int launch_heads(const OmniCudaDecodeHeads& a, void* stream) {
  const std::int64_t tasks = std::int64_t{a.row_count} * (a.heads + 2 * a.key_value_heads);
  const dim3 grid(blocks_over(tasks, kHeadWarps));
  const std::size_t shared_bytes = sizeof(float) * kHeadWarps * static_cast<std::size_t>(a.head_size);
  return OMNI_LAUNCH(decode_heads<E>, grid, dim3(kHeadWarps * kWarp), shared_bytes, stream, a);
}

}  // namespace
}  // namespace omni::cuda

extern "C" std::int32_t omni_cuda_decode_heads(const OmniCudaDecodeHeads* arguments, void* stream) {
  using namespace omni::cuda;
  const OmniCudaDecodeHeads& a = *arguments;
  const bool bytes = a.cache_type != kOmniCudaCacheLikeQuery;
  constexpr int kMostHeadSize = 512;
  if (a.row_count < 0 || a.heads < 1 || a.key_value_heads < 1 || a.head_size < 2 || a.head_size % 2 != 0 ||
      a.head_size > kMostHeadSize || (bytes && (!a.key_scales || !a.value_scales)))
    return kOmniCudaUnsupported;
  if (a.row_count == 0) return kSuccess;
  switch (a.cache_type) {
    case kOmniCudaCacheLikeQuery:
      return launch_heads<__nv_bfloat16>(a, stream);
    case kOmniCudaCacheInt8:
      return launch_heads<Int8>(a, stream);
    case kOmniCudaCacheFp8:
      return launch_heads<Fp8>(a, stream);
  }
  return kOmniCudaUnsupported;
}
