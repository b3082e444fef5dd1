#pragma once

#include <cstdint>

#include "device.h"
#include "packed_attention_interface.h"
#include "pointer_alignment.h"

// Which kernels of attention there are. OMNI_KERNELS_ALL adds fp16 and the rarer head sizes to bf16 at 64 and
// 128; a head size in between is padded with zeros in shared memory.
namespace omni::cuda {

inline bool is_aligned(const OmniCudaHeads& heads) {
  return is_aligned(heads.data) && heads.row_stride % 8 == 0 && heads.head_stride % 8 == 0;
}

// Launch::run<T, head size>(arguments...) of the smallest kernel that holds the head size, else
// kOmniCudaUnsupported.
template <class Launch, class T, class... Arguments>
int for_head_size(std::int32_t head_size, const Arguments&... arguments) {
#ifdef OMNI_KERNELS_ALL
  if (head_size <= 32) return Launch::template run<T, 32>(arguments...);
#endif
  if (head_size <= 64) return Launch::template run<T, 64>(arguments...);
#ifdef OMNI_KERNELS_ALL
  if (head_size <= 96) return Launch::template run<T, 96>(arguments...);
#endif
  if (head_size <= 128) return Launch::template run<T, 128>(arguments...);
#ifdef OMNI_KERNELS_ALL
  if (head_size <= 192) return Launch::template run<T, 192>(arguments...);
  if (head_size <= 256) return Launch::template run<T, 256>(arguments...);
#endif
  return kOmniCudaUnsupported;
}

template <class Launch, class... Arguments>
int for_shape(OmniCudaType type, std::int32_t head_size, const Arguments&... arguments) {
  if (type == kOmniCudaBfloat16) return for_head_size<Launch, __nv_bfloat16>(head_size, arguments...);
#ifdef OMNI_KERNELS_ALL
  if (type == kOmniCudaFloat16) return for_head_size<Launch, __half>(head_size, arguments...);
#endif
  return kOmniCudaUnsupported;
}

}  // namespace omni::cuda
