#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "omni/kernels/tensor.h"

namespace omni::nn {

// Which head dimensions turn with which coordinate (Su et al. 2021, arXiv 2104.09864; over several axes as in
// Heo et al. 2024, arXiv 2403.13298). The head_size / 2 pairs are dealt to the axes in order, split[a] / 2
// pairs to axis a; pair i of an axis turns by position * theta^(-2 i / split[a]).
struct RotarySplit {
  std::vector<std::int64_t> dimensions;  // one even number per axis
  double theta = 10000;
};
// theta^(-2 i / dimensions) of each pair of an axis.
std::vector<double> rotary_frequencies(std::int64_t dimensions, double theta);

// The coordinates along an axis: positions repeat a lot in packed documents, so each is turned once.
struct DistinctPositions {
  std::vector<double> positions;
  std::vector<std::int64_t> of_row;  // [N], indices into positions
};
DistinctPositions distinct_positions(std::span<const std::int32_t> coordinates);

// The same on the device on which the angles are wanted.
struct RotaryAxis {
  at::Tensor frequencies;  // [pairs] fp64
  at::Tensor positions;    // [distinct] fp64
  at::Tensor of_row;       // [N] int64
};
struct RotaryAngles {
  at::Tensor cosine, sine;  // [N, head_size / 2] fp32
};
RotaryAngles rotary_angles(std::span<const RotaryAxis> axes);

}  // namespace omni::nn
