#pragma once

#include <cstdint>

#include "types.h"

// The C interface of what a decoding step does beside its layers. What changes from step to step lies in device
// memory: a table with an entry for each step of a stretch, and a counter.
extern "C" {

// current = table[counter], counter + 1, entries of `words` 32-bit words. Later launches of the step read
// `current`, whose address stays.
struct OmniCudaDecodeBegin {
  const std::int32_t* table;  // [steps, words]
  std::int32_t* current;      // [words]
  std::int32_t* counter;
  std::int64_t words;
};

// embedded [rows, width] fp32 = token row + row of the token's slot + row of the next token's slot.
struct OmniCudaDecodeEmbed {
  const float* token_rows;           // [vocabulary, width]
  const float* slot_rows;            // [slot count, width]; null: none
  const float* next_slot_rows;       // the same
  const std::int32_t* tokens;        // [rows]; -1: the one that was drawn
  const std::int32_t* drawn;         // [batch]; may be null where no token is -1
  const std::int32_t* drawn_of_row;  // [rows]
  const std::int32_t* slots;         // [rows]
  const std::int32_t* next_slots;    // [rows]
  float* embedded;
  std::int64_t vocabulary, width;
  std::int32_t rows;
};

// What was drawn in a step, for the host to read while the next one runs.
struct OmniCudaDecodeDrawn {
  std::int32_t token, status;  // OmniCudaSamplingStatus
  float log_probability;
  std::int32_t step;  // written last: counter of the step, from 1
};
struct OmniCudaDecodePublish {
  const std::int32_t* tokens;  // [batch], of OmniCudaTokenSampling
  const std::int32_t* statuses;
  const float* log_probabilities;
  const std::int32_t* counter;  // after this step's OmniCudaDecodeBegin
  OmniCudaDecodeDrawn* ring;    // [steps, batch], in memory of the host that the device can write
  std::int32_t batch;
};

// One launch each, no wait.
std::int32_t omni_cuda_decode_begin(const OmniCudaDecodeBegin* arguments, void* stream);
std::int32_t omni_cuda_decode_embed(const OmniCudaDecodeEmbed* arguments, void* stream);
std::int32_t omni_cuda_decode_publish(const OmniCudaDecodePublish* arguments, void* stream);
}
