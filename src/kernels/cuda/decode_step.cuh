#pragma once

#include <cstdint>

#include "decode_step_interface.h"
#include "numeric.cuh"

namespace omni::cuda {

constexpr int kStepThreads = 256;

// One block, so that the counter moves after all have read it.
__global__ void __launch_bounds__(kStepThreads) decode_begin(const OmniCudaDecodeBegin a) {
  const int step = *a.counter;
  for (std::int64_t i = threadIdx.x; i < a.words; i += kStepThreads)
    a.current[i] = a.table[step * a.words + i];
  __syncthreads();
  if (threadIdx.x == 0) *a.counter = step + 1;
}

// One block per row.
__global__ void __launch_bounds__(kStepThreads) decode_embed(const OmniCudaDecodeEmbed a) {
  const int row = static_cast<int>(blockIdx.x);
  int token = a.tokens[row];
  if (token < 0) token = a.drawn[a.drawn_of_row[row]];
  // Where none could be drawn the host learns it from the status; until then the step goes on.
  if (token < 0 || token >= a.vocabulary) token = 0;
  const float* source = a.token_rows + token * a.width;
  const float* slot = a.slot_rows ? a.slot_rows + a.slots[row] * a.width : nullptr;
  const float* next = a.slot_rows ? a.next_slot_rows + a.next_slots[row] * a.width : nullptr;
  for (std::int64_t d = threadIdx.x; d < a.width; d += kStepThreads)
    a.embedded[row * a.width + d] = slot ? source[d] + slot[d] + next[d] : source[d];
}

__global__ void __launch_bounds__(kStepThreads) decode_publish(const OmniCudaDecodePublish a) {
  const int step = *a.counter;
  for (int b = threadIdx.x; b < a.batch; b += kStepThreads) {
    volatile OmniCudaDecodeDrawn& drawn = a.ring[static_cast<std::int64_t>(step - 1) * a.batch + b];
    drawn.token = a.tokens[b];
    drawn.status = a.statuses[b];
    drawn.log_probability = a.log_probabilities[b];
    __threadfence_system();
    drawn.step = step;
  }
}

}  // namespace omni::cuda
