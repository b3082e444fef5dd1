#include "cache_write.cuh"

namespace omni::cuda {
namespace {

template <class T, class E>
int launch_write(const OmniCudaCacheWrite& a, void* stream) {
  const std::int64_t tasks = std::int64_t{2} * a.row_count * a.key_value_heads;
  const dim3 grid(blocks_over(tasks, kWriteWarps));
  return OMNI_LAUNCH((write_cache<T, E>), grid, dim3(kWriteWarps * kWarp), 0, stream, a);
}

template <class T>
int launch_cached(const OmniCudaCacheWrite& a, void* stream) {
  switch (a.cache_type) {
    case kOmniCudaCacheLikeQuery:
      return launch_write<T, T>(a, stream);
    case kOmniCudaCacheInt8:
      return launch_write<T, Int8>(a, stream);
    case kOmniCudaCacheFp8:
      return launch_write<T, Fp8>(a, stream);
  }
  return kOmniCudaUnsupported;
}

}  // namespace
}  // namespace omni::cuda

extern "C" std::int32_t omni_cuda_cache_write(const OmniCudaCacheWrite* arguments, void* stream) {
  using namespace omni::cuda;
  const OmniCudaCacheWrite& a = *arguments;
  const bool bytes = a.cache_type != kOmniCudaCacheLikeQuery;
  if (a.row_count < 0 || a.key_value_heads < 1 || a.head_size < 1 ||
      (bytes && (!a.key_scales || !a.value_scales)))
    return kOmniCudaUnsupported;
  if (a.row_count == 0) return kSuccess;
  if (a.type == kOmniCudaBfloat16) return launch_cached<__nv_bfloat16>(a, stream);
  if (a.type == kOmniCudaFloat16) return launch_cached<__half>(a, stream);
  return kOmniCudaUnsupported;
}
