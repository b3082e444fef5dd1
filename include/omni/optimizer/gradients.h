#pragma once

#include <functional>

#include "omni/kernels/tensor.h"
#include "omni/nn/parameters.h"

namespace omni::optimizer {

// What becomes of the gradients of a step, on their device: fp32 scalars, so that nothing has to wait for them.
struct GradientMeasure {
  at::Tensor norm;     // the Euclidean norm of all gradients together
  at::Tensor divisor;  // of every gradient, at least 1; undefined: they stay as they are
  at::Tensor
      skipped;  // 1 where the norm is not finite, so that the step must not happen, else 0; undefined: 0
};
// Adds up a scalar over the ranks, in place.
using SumOverRanks = std::function<void(const at::Tensor&)>;
// Of a sealed store; of a sharded one each rank measures what it owns. Above `maximum_norm` gradients are to be
// scaled to it; 0 is no limit.
GradientMeasure measure_gradients(const nn::ParameterStore& parameters, double maximum_norm,
                                  const SumOverRanks& sum = {});

}  // namespace omni::optimizer
