#include "token_sampling_interface.h"

#include "token_sampling_launch.cuh"

namespace omni::cuda {
namespace {

constexpr int kSamplingThreads = 512;

// Enough blocks to keep the memory busy, of no fewer scores than pay for a block.
int part_count(int batch, int vocabulary) {
  constexpr int kScoresPerPart = 4096, kBlocks = 128, kMaximumParts = 64;
  const int by_size = (vocabulary + kScoresPerPart - 1) / kScoresPerPart;
  const int by_batch = kBlocks / batch > 0 ? kBlocks / batch : 1;
  const int parts = by_size < by_batch ? by_size : by_batch;
  return parts < kMaximumParts ? parts : kMaximumParts;
}

}  // namespace
}  // namespace omni::cuda

extern "C" {

std::int64_t omni_cuda_token_sampling_workspace(std::int32_t batch, std::int32_t vocabulary) {
  using namespace omni::cuda;
  if (batch < 1 || vocabulary < 1) return 0;
  Carver carver(nullptr);
  carve<kSamplingThreads>(carver, batch, vocabulary, part_count(batch, vocabulary));
  return carver.bytes();
}

std::int32_t omni_cuda_token_sampling(const OmniCudaTokenSampling* arguments, void* stream) {
  using namespace omni::cuda;
  const int batch = arguments->batch > 0 ? arguments->batch : 1;
  return launch_token_sampling<kSamplingThreads>(*arguments, part_count(batch, arguments->vocabulary),
                                                 stream);
}
}
