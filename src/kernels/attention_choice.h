#pragma once

#include <cstdint>
#include <span>

#include "omni/kernels/packed_attention.h"

namespace omni::kernels {

// What a choice between the paths that can run on a GPU depends on.
struct AttentionCase {
  int gpu = 0;  // its compute capability's first number
  std::int64_t head_size = 0;
  std::int64_t document_rows = 0;  // of the mean document
  bool causal = false;             // every document is
};

// One measurement that another path than the general kernel is faster: for cases of this GPU and head size with
// documents of so many rows or more.
struct MeasuredPath {
  int gpu;
  std::int64_t head_size, least_document_rows;
  bool causal_only;
  AttentionPath path;
  const char* evidence;  // figures, card, date: what the log gives as the reason
};

// The first entry that fits; null where none does.
const MeasuredPath* fitting_path(std::span<const MeasuredPath> table, const AttentionCase& attention);

// What benchmarks/kernels/packed_attention has measured. Only paths whose tests have passed on such a GPU stand
// there; today none has been run, so that nothing is chosen but the general kernel.
std::span<const MeasuredPath> measured_paths();

}  // namespace omni::kernels
