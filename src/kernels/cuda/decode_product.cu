#include "decode_product.cuh"
#include "pointer_alignment.h"

namespace omni::cuda {
namespace {

bool is_vectors(const void* pointer) { return pointer && is_aligned(pointer); }

bool is_possible(const OmniCudaDecodeProduct& a) {
  const OmniCudaDecodeMatrix& m = a.matrix;
  if (a.rows < 0 || a.rows > kOmniCudaMostDecodeRows || m.outputs < 0 || m.inputs < 1 ||
      !is_vectors(m.weight))
    return false;
  if (m.format == kOmniCudaDecodeBf16) return m.inputs % 8 == 0 && is_vectors(a.x);
  return m.format == kOmniCudaDecodeInt8 && m.inputs % 16 == 0 && m.scales && m.sums &&
         is_vectors(a.fixed.upper) && is_vectors(a.fixed.lower) && a.fixed.scales;
}

template <int kRows, class Y>
int launch_format(const OmniCudaDecodeProduct& a, void* stream) {
  constexpr std::int64_t kPerBlock = kProductWarps * kProductOutputs;
  const dim3 grid(blocks_over(a.matrix.outputs, kPerBlock)), block(kProductWarps * kWarp);
  if (a.matrix.format == kOmniCudaDecodeBf16)
    return OMNI_LAUNCH((decode_product<kRows, Y, false>), grid, block, 0, stream, a);
  return OMNI_LAUNCH((decode_product<kRows, Y, true>), grid, block, 0, stream, a);
}

template <class Y>
int launch_rows(const OmniCudaDecodeProduct& a, void* stream) {
  if (a.rows <= 1) return launch_format<1, Y>(a, stream);
  if (a.rows <= 2) return launch_format<2, Y>(a, stream);
  if (a.rows <= 4) return launch_format<4, Y>(a, stream);
  return launch_format<8, Y>(a, stream);
}

}  // namespace
}  // namespace omni::cuda

extern "C" {

std::int32_t omni_cuda_decode_product(const OmniCudaDecodeProduct* arguments, void* stream) {
  using namespace omni::cuda;
  const OmniCudaDecodeProduct& a = *arguments;
  if (!is_possible(a)) return kOmniCudaUnsupported;
  if (a.rows == 0 || a.matrix.outputs == 0) return kSuccess;
  if (a.type == kOmniCudaBfloat16) return launch_rows<__nv_bfloat16>(a, stream);
  if (a.type == kOmniCudaFloat) return launch_rows<float>(a, stream);
  return kOmniCudaUnsupported;
}

std::int32_t omni_cuda_decode_fixed_rows(const OmniCudaDecodeFixedRows* arguments, void* stream) {
  using namespace omni::cuda;
  const OmniCudaDecodeFixedRows& a = *arguments;
  if (a.rows < 0 || a.rows > kMaximumBlocksY || a.width < 1) return kOmniCudaUnsupported;
  if (a.rows == 0) return kSuccess;
  return OMNI_LAUNCH(decode_fixed_rows, dim3(static_cast<unsigned>(a.rows)), dim3(kFixedThreads),
                     kFixedSharedBytes, stream, a);
}
}
