#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

namespace omni::nn {

// Which head dimensions turn with which coordinate (Su et al. 2021, arXiv 2104.09864; over several axes as in
// Heo et al. 2024, arXiv 2403.13298). The head_size / 2 pairs are dealt to the axes in order, split[a] / 2
// pairs to axis a; pair i of an axis turns by position * theta^(-2 i / split[a]).
struct RotarySplit {
  std::vector<std::int64_t> dimensions;  // one even number per axis
  double theta = 10000;
};

struct RotaryAngles {
  at::Tensor cosine, sine;  // [N, head_size / 2] fp32
};

// positions[a] holds the N coordinates along axis a; there must be as many axes as the split has, else
// Error(internal).
RotaryAngles rotary_angles(std::span<const std::span<const std::int32_t>> positions,
                           const RotarySplit& split);

}  // namespace omni::nn
