#include "decode_attention.cuh"

namespace omni::cuda {
namespace {

bool is_aligned(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0; }

bool is_possible(const OmniCudaDecodeAttention& a) {
  const bool bytes = a.cache_type != kOmniCudaCacheLikeQuery;
  return a.row_count >= 0 && a.row_count <= kMostBlocksY && a.key_value_heads >= 1 &&
         a.key_value_heads <= kMostBlocksY && a.heads >= a.key_value_heads &&
         a.heads % a.key_value_heads == 0 && a.heads / a.key_value_heads <= kOmniCudaMostGroupQueries &&
         a.keys_per_split >= kTileKeys && a.keys_per_split % kTileKeys == 0 && a.most_splits >= 1 &&
         a.query_stride % 8 == 0 && is_aligned(a.query) && is_aligned(a.keys) && is_aligned(a.values) &&
         (!bytes || (a.key_scales && a.value_scales));
}

std::int64_t padded(std::int64_t bytes) { return (bytes + 255) / 256 * 256; }

struct WorkspaceSizes {
  std::int64_t finished, states, outputs;
};
WorkspaceSizes sizes_of(const OmniCudaDecodeAttention& a) {
  const std::int64_t partials = std::int64_t{a.row_count} * a.heads * a.most_splits;
  return {padded(std::int64_t{a.row_count} * a.key_value_heads * std::int64_t{sizeof(unsigned)}),
          padded(partials * std::int64_t{sizeof(float2)}),
          padded(partials * a.head_size * std::int64_t{sizeof(float)})};
}

template <class T, class E, int kWidth>
int launch_decode(const OmniCudaDecodeAttention& a, void* stream) {
  const WorkspaceSizes sizes = sizes_of(a);
  char* memory = static_cast<char*>(a.workspace);
  const DecodeLaunch launch{a, reinterpret_cast<float*>(memory + sizes.finished + sizes.states),
                            reinterpret_cast<float2*>(memory + sizes.finished),
                            reinterpret_cast<unsigned*>(memory)};
  const dim3 grid(static_cast<unsigned>(a.most_splits), static_cast<unsigned>(a.key_value_heads),
                  static_cast<unsigned>(a.row_count));
  constexpr int kShared = DecodeTiles<E, kWidth>::kBytes;
  if (kShared > most_shared_bytes()) return kOmniCudaUnsupported;
  return OMNI_LAUNCH((decode_attention<T, E, kWidth>), grid, dim3(kDecodeThreads), kShared, stream, launch);
}

template <class T, int kWidth>
int launch_cached(const OmniCudaDecodeAttention& a, void* stream) {
  switch (a.cache_type) {
    case kOmniCudaCacheLikeQuery:
      return launch_decode<T, T, kWidth>(a, stream);
    case kOmniCudaCacheInt8:
      return launch_decode<T, Int8, kWidth>(a, stream);
    case kOmniCudaCacheFp8:
      return launch_decode<T, Fp8, kWidth>(a, stream);
  }
  return kOmniCudaUnsupported;
}

template <class T>
int launch_sized(const OmniCudaDecodeAttention& a, void* stream) {
  switch (a.head_size) {
    case 64:
      return launch_cached<T, 64>(a, stream);
    case 128:
      return launch_cached<T, 128>(a, stream);
#ifdef OMNI_KERNELS_ALL
    case 32:
      return launch_cached<T, 32>(a, stream);
    case 96:
      return launch_cached<T, 96>(a, stream);
    case 192:
      return launch_cached<T, 192>(a, stream);
    case 256:
      return launch_cached<T, 256>(a, stream);
#endif
    default:
      return kOmniCudaUnsupported;
  }
}

}  // namespace
}  // namespace omni::cuda

extern "C" {

std::int64_t omni_cuda_decode_attention_workspace(const OmniCudaDecodeAttention* arguments) {
  const auto sizes = omni::cuda::sizes_of(*arguments);
  return sizes.finished + sizes.states + sizes.outputs;
}

std::int32_t omni_cuda_decode_attention(const OmniCudaDecodeAttention* arguments, void* stream) {
  using namespace omni::cuda;
  if (!is_possible(*arguments)) return kOmniCudaUnsupported;
  if (arguments->row_count == 0) return kSuccess;
  if (arguments->type == kOmniCudaBfloat16) return launch_sized<__nv_bfloat16>(*arguments, stream);
#ifdef OMNI_KERNELS_ALL
  if (arguments->type == kOmniCudaFloat16) return launch_sized<__half>(*arguments, stream);
#endif
  return kOmniCudaUnsupported;
}
}
