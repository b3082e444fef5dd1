#pragma once

#include <memory>

#include "omni/kernels/tensor.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::tokenizers {

// A decoded shape that keeps its own copies. logits [O, O, O] (z, y, x) at cell centres over [-half_extent,
// half_extent]^3; slots [slots, S, S, S] (logits at their own cell centres) and palette [slots, 3] (sRGB),
// both undefined without colour.
std::unique_ptr<DecodedShape> make_grid_shape(const at::Tensor& logits, const at::Tensor& slots,
                                              const at::Tensor& palette, float half_extent);

}  // namespace omni::tokenizers
