#pragma once

#include "omni/kernels/tensor.h"

namespace omni::tokenizers {

// Indices [B, count] of points [B, N, 3], fp32: first the one farthest from the mean of all, then each time
// the one farthest from those already chosen (Eldar et al., "The farthest point strategy for progressive
// image sampling", 1997), so that any prefix covers the shape evenly. The same points in another order give
// the same choice but for ties. count <= N.
at::Tensor farthest_points(const at::Tensor& points, std::int64_t count);

}  // namespace omni::tokenizers
