#include "embedding.cuh"

#include "column_sums.cuh"

namespace {

using namespace omni::cuda;

template <int kCount>
int launch_add_rows(const OmniCudaAddRows& a, void* stream) {
  const dim3 grid(blocks_over(a.count, kOmniCudaRowWindow));
  const int status = OMNI_LAUNCH(add_windows<kCount>, grid, dim3(kRowsThreads), 0, stream, a);
  return status != kSuccess ? status
                            : OMNI_LAUNCH(add_continued<kCount>, grid, dim3(kRowsThreads), 0, stream, a);
}

}  // namespace

extern "C" std::int32_t omni_cuda_gather(const OmniCudaGather* arguments, void* stream) {
  const OmniCudaGather& a = *arguments;
  if (a.count == 0 || a.width == 0) return kSuccess;
  if (a.count > kMaximumPieces) return kOmniCudaUnsupported;
  const bool vectors = vectors_cover<float>(a.width, a.table, a.output);
  return OMNI_LAUNCH(vectors ? gather<4> : gather<1>, dim3(static_cast<unsigned>(a.count)),
                     dim3(kRowsThreads), 0, stream, a);
}

extern "C" std::int32_t omni_cuda_code_shares(const OmniCudaCodeShares* arguments, void* stream) {
  const OmniCudaCodeShares& a = *arguments;
  if (a.count == 0 || a.width == 0) return kSuccess;
  if (a.count > std::int64_t{kMaximumBlocksY} * kShareCodes) return kOmniCudaUnsupported;
  const dim3 grid(blocks_over(a.width, kCodeThreads), blocks_over(a.count, kShareCodes));
  return OMNI_LAUNCH(code_shares<OmniCudaCodeShares>, grid, dim3(kCodeThreads), kCodeSharedBytes, stream, a);
}

extern "C" std::int32_t omni_cuda_add_rows(const OmniCudaAddRows* arguments, void* stream) {
  const OmniCudaAddRows& a = *arguments;
  if (a.count == 0 || a.width == 0) return kSuccess;
  const bool vectors =
      vectors_cover<float>(a.width, a.rows, a.gradient, a.partial) && a.stride % kVector<float> == 0;
  return vectors ? launch_add_rows<4>(a, stream) : launch_add_rows<1>(a, stream);
}

extern "C" std::int32_t omni_cuda_code_gradient(const OmniCudaCodeGradient* arguments, void* stream) {
  const OmniCudaCodeGradient& a = *arguments;
  const std::int64_t size = a.width * a.dimension;
  if (size == 0) return kSuccess;
  if (a.count == 0) return fill_zero(a.gradient, size * sizeof(float), stream);
  const dim3 grid(blocks_over(a.width, kCodeThreads), blocks_over(a.dimension, kCodeDimensions),
                  blocks_over(a.count, kOmniCudaCodeWindow));
  if (grid.y > kMaximumBlocksY || grid.z > kMaximumBlocksY) return kOmniCudaUnsupported;
  const int status =
      OMNI_LAUNCH(code_gradient<OmniCudaCodeGradient>, grid, dim3(kCodeThreads), kCodeSharedBytes, stream, a);
  if (status != kSuccess) return status;
  return launch_column_sums(a.partial, a.gradient, grid.z, size, stream);
}
