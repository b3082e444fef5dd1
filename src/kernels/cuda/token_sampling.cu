#include "token_sampling.cuh"

namespace omni::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kLargestBatch = 65535;

// Enough blocks to keep the memory busy, of no fewer scores than pay for a block.
int part_count(int batch, int vocabulary) {
  constexpr int kScoresPerPart = 4096, kBlocks = 128;
  const int by_size = (vocabulary + kScoresPerPart - 1) / kScoresPerPart;
  const int by_batch = kBlocks / batch > 0 ? kBlocks / batch : 1;
  const int parts = by_size < by_batch ? by_size : by_batch;
  return parts < kMostParts ? parts : kMostParts;
}

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

SamplingWorkspace carve(Carver& carver, int batch, int vocabulary) {
  const std::int64_t parts = std::int64_t{batch} * part_count(batch, vocabulary);
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

bool is_possible(const OmniCudaTokenSampling& a) {
  return a.batch >= 0 && a.batch <= kLargestBatch && a.vocabulary >= 1 &&
         a.vocabulary <= kernels::token_rules::kLargestRow && a.conditions >= 0 && a.likely_count >= 0 &&
         a.likely_count <= kOmniCudaMostLikely;
}

}  // namespace
}  // namespace omni::cuda

extern "C" {

std::int64_t omni_cuda_token_sampling_workspace(std::int32_t batch, std::int32_t vocabulary) {
  if (batch < 1 || vocabulary < 1) return 0;
  omni::cuda::Carver carver(nullptr);
  omni::cuda::carve(carver, batch, vocabulary);
  return carver.bytes();
}

std::int32_t omni_cuda_token_sampling(const OmniCudaTokenSampling* arguments, void* stream) {
  using namespace omni::cuda;
  constexpr std::int32_t kInvalidValue = 1;  // cudaErrorInvalidValue
  if (!is_possible(*arguments)) return kInvalidValue;
  if (arguments->batch == 0) return kSuccess;
  SamplingLaunch launch{*arguments, {}, part_count(arguments->batch, arguments->vocabulary)};
  Carver carver(arguments->workspace);
  launch.workspace = carve(carver, arguments->batch, arguments->vocabulary);
  const dim3 grid(static_cast<unsigned>(launch.parts), static_cast<unsigned>(arguments->batch));
  constexpr std::size_t kShared = sizeof(SamplingMemory<kThreads>);
  switch (arguments->type) {
    case kOmniCudaLogitFloat:
      return OMNI_LAUNCH((sample_tokens<kThreads, float>), grid, dim3(kThreads), kShared, stream, launch);
    case kOmniCudaLogitBfloat16:
      return OMNI_LAUNCH((sample_tokens<kThreads, __nv_bfloat16>), grid, dim3(kThreads), kShared, stream,
                         launch);
    case kOmniCudaLogitHalf:
      return OMNI_LAUNCH((sample_tokens<kThreads, __half>), grid, dim3(kThreads), kShared, stream, launch);
  }
  return kInvalidValue;
}
}
