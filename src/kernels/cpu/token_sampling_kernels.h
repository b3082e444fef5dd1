#pragma once

#include <cstdint>

#include "../token_rules.h"
#include "instruction_set.h"

namespace omni::kernels {

// Passes over one row of scores; every instruction set gives the same bits, but for exponential_sum. A block
// is a run of scores whose length is a multiple of 16 (the last one is shorter).
struct TokenSamplingKernels {
  // Scores under guidance: rows[0 .. conditions] and one weight per condition. False: NaN or +inf among them.
  bool (*combine)(const float* const* rows, const float* weights, std::int64_t conditions, std::int64_t count,
                  float* scores);
  // The largest score of each block. False: NaN or +inf among them.
  bool (*survey)(const float* scores, std::int64_t count, std::int64_t block, float* maxima);
  // The sum of token_rules::weight_of.
  std::uint64_t (*total)(const float* scores, std::int64_t count, float peak, token_rules::Scale scale);
  // The sum of exp(score - peak) to seven digits, in less time than total() takes.
  double (*exponential_sum)(const float* scores, std::int64_t count, float peak);
  void (*weigh)(const float* scores, std::int64_t count, float peak, token_rules::Scale scale,
                std::uint64_t* weights);
  // Scores at or above the bound, in order, with their index plus `first_index`; returns how many. Writes up
  // to 16 elements beyond them.
  std::int64_t (*gather)(const float* scores, std::int64_t count, float bound, std::int32_t first_index,
                         float* found, std::int32_t* indices);
};
const TokenSamplingKernels& token_sampling_kernels(InstructionSet level = instruction_set());

}  // namespace omni::kernels
