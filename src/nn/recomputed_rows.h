#pragma once

#include <functional>

#include "omni/nn/decoder_block.h"

namespace omni::nn {

// Rows in the type of the products that are made from others, row by row, with a parameter (undefined: without one). It
// is called again in the backward pass and must give the same.
using MakeRows = std::function<Tensor(const Tensor& source, const Tensor& parameter)>;

// layer(make(source, parameter)), differentiable, which keeps `source` in place of the rows that are made in `type`. The
// layer has no adapter.
Tensor linear_of_made_rows(const Tensor& source, const Tensor& parameter, const MakeRows& make,
                           const CastLinear& layer, at::ScalarType type);

}  // namespace omni::nn
