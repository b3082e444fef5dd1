#pragma once

#include "row_sampler_choose.cuh"
#include "row_sampler_prepare.cuh"

// One launch samples a batch. A row of logits is split over `parts` blocks, which guide the scores and note
// their largest; the block that finishes a row last chooses its token, from the few candidates that the
// filters can reach.
namespace omni::cuda {

template <int kThreads, class T>
__global__ void __launch_bounds__(kThreads, 1) sample_tokens(const SamplingLaunch launch) {
  OMNI_SHARED(SamplingMemory<kThreads>, memory);
  RowSampler<kThreads, T> sampler(launch, *memory, static_cast<int>(blockIdx.y));
  if (sampler.prepare(static_cast<int>(blockIdx.x))) sampler.choose();
}

}  // namespace omni::cuda
