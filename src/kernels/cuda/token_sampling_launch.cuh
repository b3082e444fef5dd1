#pragma once

#include "token_sampling.cuh"

namespace omni::cuda {

// Cuts the workspace into its arrays; `bytes` counts them.
class Carver {
 public:
  explicit Carver(void* memory) : memory_(static_cast<char*>(memory)) {}
  template <class T>
  T* take(std::int64_t count) {
    T* const array = memory_ ? reinterpret_cast<T*>(memory_ + bytes_) : nullptr;
    bytes_ += (count * static_cast<std::int64_t>(sizeof(T)) + 255) / 256 * 256;
    return array;
  }
  std::int64_t bytes() const { return bytes_; }

 private:
  char* memory_;
  std::int64_t bytes_ = 0;
};

template <int kThreads>
SamplingWorkspace carve(Carver& carver, int batch, int vocabulary, int parts_per_row) {
  const std::int64_t parts = std::int64_t{batch} * parts_per_row;
  SamplingWorkspace work;
  work.finished = carver.take<unsigned>(batch);
  work.peaks = carver.take<unsigned>(parts);
  work.plain_peaks = carver.take<unsigned>(parts);
  work.plain_masses = carver.take<Mass>(parts);
  work.faults = carver.take<unsigned>(parts);
  work.maxima = carver.take<float>(parts * kThreads);
  work.scores = carver.take<float>(std::int64_t{batch} * vocabulary);
  return work;
}

inline bool is_possible(const OmniCudaTokenSampling& a) {
  return a.batch >= 0 && a.batch <= kMaximumBlocksY && a.vocabulary >= 1 &&
         a.vocabulary <= rules::kMaximumRow && a.conditions >= 0 && a.likely_count >= 0 &&
         a.likely_count <= kOmniCudaMostLikely;
}

template <int kThreads>
int launch_token_sampling(const OmniCudaTokenSampling& arguments, int parts, void* stream) {
  if (!is_possible(arguments)) return kOmniCudaUnsupported;
  if (arguments.batch == 0) return kSuccess;
  SamplingLaunch launch{arguments, {}, parts};
  Carver carver(arguments.workspace);
  launch.workspace = carve<kThreads>(carver, arguments.batch, arguments.vocabulary, parts);
  const dim3 grid(static_cast<unsigned>(parts), static_cast<unsigned>(arguments.batch));
  constexpr std::size_t kShared = sizeof(SamplingMemory<kThreads>);
  switch (arguments.type) {
    case kOmniCudaFloat:
      return OMNI_LAUNCH((sample_tokens<kThreads, float>), grid, dim3(kThreads), kShared, stream, launch);
    case kOmniCudaBfloat16:
      return OMNI_LAUNCH((sample_tokens<kThreads, __nv_bfloat16>), grid, dim3(kThreads), kShared, stream,
                         launch);
    case kOmniCudaFloat16:
      return OMNI_LAUNCH((sample_tokens<kThreads, __half>), grid, dim3(kThreads), kShared, stream, launch);
  }
  return kOmniCudaUnsupported;
}

}  // namespace omni::cuda
