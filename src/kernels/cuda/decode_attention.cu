#include "decode_attention.cuh"
#include "pointer_alignment.h"

namespace omni::cuda {
namespace {

bool is_possible(const OmniCudaDecodeAttention& a) {
  const bool bytes = a.cache_type != kOmniCudaCacheLikeQuery;
  return a.row_count >= 0 && a.row_count <= kMaximumBlocksY && a.key_value_heads >= 1 &&
         a.key_value_heads <= kMaximumBlocksY && a.heads >= a.key_value_heads &&
         a.heads % a.key_value_heads == 0 && a.heads / a.key_value_heads <= kOmniCudaMostGroupQueries &&
         a.keys_per_split >= kTileKeys && a.keys_per_split % kTileKeys == 0 && a.maximum_splits >= 1 &&
         a.query_stride % 8 == 0 && is_aligned(a.query) && is_aligned(a.keys) && is_aligned(a.values) &&
         (!bytes || (a.key_scales && a.value_scales));
}

std::int64_t padded(std::int64_t bytes) { return (bytes + 255) / 256 * 256; }

struct WorkspaceSizes {
  std::int64_t finished, states, outputs;
};
WorkspaceSizes sizes_of(const OmniCudaDecodeAttention& a) {
  const std::int64_t partials = std::int64_t{a.row_count} * a.heads * a.maximum_splits;
  return {padded(std::int64_t{a.row_count} * a.key_value_heads * std::int64_t{sizeof(unsigned)}),
          padded(partials * std::int64_t{sizeof(float2)}),
          padded(partials * a.head_size * std::int64_t{sizeof(float)})};
}

// Use::run<T, E, head size>(arguments, more...) of the kernel for the types and the head size, else
// kOmniCudaUnsupported.
template <class Use, class T, int kWidth, class... More>
int for_cache(const OmniCudaDecodeAttention& a, const More&... more) {
  switch (a.cache_type) {
    case kOmniCudaCacheLikeQuery:
      return Use::template run<T, T, kWidth>(a, more...);
    case kOmniCudaCacheInt8:
      return Use::template run<T, Int8, kWidth>(a, more...);
    case kOmniCudaCacheFp8:
      return Use::template run<T, Fp8, kWidth>(a, more...);
  }
  return kOmniCudaUnsupported;
}

template <class Use, class T, class... More>
int for_head_size(const OmniCudaDecodeAttention& a, const More&... more) {
  switch (a.head_size) {
    case 64:
      return for_cache<Use, T, 64>(a, more...);
    case 128:
      return for_cache<Use, T, 128>(a, more...);
#ifdef OMNI_KERNELS_ALL
    case 32:
      return for_cache<Use, T, 32>(a, more...);
    case 96:
      return for_cache<Use, T, 96>(a, more...);
    case 192:
      return for_cache<Use, T, 192>(a, more...);
    case 256:
      return for_cache<Use, T, 256>(a, more...);
#endif
    default:
      return kOmniCudaUnsupported;
  }
}

template <class Use, class... More>
int for_kernel(const OmniCudaDecodeAttention& a, const More&... more) {
  if (a.type == kOmniCudaBfloat16) return for_head_size<Use, __nv_bfloat16>(a, more...);
#ifdef OMNI_KERNELS_ALL
  if (a.type == kOmniCudaFloat16) return for_head_size<Use, __half>(a, more...);
#endif
  return kOmniCudaUnsupported;
}

struct SharedBytes {
  template <class T, class E, int kWidth>
  static int run(const OmniCudaDecodeAttention& /*a*/) {
    return DecodeTiles<E, kWidth>::kBytes;
  }
};

struct LaunchDecode {
  template <class T, class E, int kWidth>
  static int run(const OmniCudaDecodeAttention& a, void* stream) {
    const WorkspaceSizes sizes = sizes_of(a);
    char* memory = static_cast<char*>(a.workspace);
    const DecodeLaunch launch{a, reinterpret_cast<float*>(memory + sizes.finished + sizes.states),
                              reinterpret_cast<float2*>(memory + sizes.finished),
                              reinterpret_cast<unsigned*>(memory)};
    const dim3 grid(static_cast<unsigned>(a.maximum_splits), static_cast<unsigned>(a.key_value_heads),
                    static_cast<unsigned>(a.row_count));
    return OMNI_LAUNCH((decode_attention<T, E, kWidth>), grid, dim3(kDecodeThreads),
                       (DecodeTiles<E, kWidth>::kBytes), stream, launch);
  }
};

}  // namespace
}  // namespace omni::cuda

extern "C" {

std::int64_t omni_cuda_decode_attention_workspace(const OmniCudaDecodeAttention* arguments) {
  const auto sizes = omni::cuda::sizes_of(*arguments);
  return sizes.finished + sizes.states + sizes.outputs;
}

std::int32_t omni_cuda_decode_attention_supports(const OmniCudaDecodeAttention* arguments) {
  using namespace omni::cuda;
  const int bytes = for_kernel<SharedBytes>(*arguments);
  return is_possible(*arguments) && bytes > 0 && bytes <= maximum_shared_bytes() ? 1 : 0;
}

std::int32_t omni_cuda_decode_attention(const OmniCudaDecodeAttention* arguments, void* stream) {
  using namespace omni::cuda;
  if (!omni_cuda_decode_attention_supports(arguments)) return kOmniCudaUnsupported;
  if (arguments->row_count == 0) return kSuccess;
  return for_kernel<LaunchDecode>(*arguments, stream);
}
}
