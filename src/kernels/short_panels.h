#pragma once

#include <optional>

#include "cpu/short_panels.h"
#include "omni/kernels/decode_linear.h"

namespace omni::kernels {

// Panels [blocks, steps, 64] of bf16 numbers in twelve bits each: see cpu/short_panels.h. None where more than one number in
// 256 would be an exception.
std::optional<DecodePanels> shortened(const at::Tensor& panels);

// Whether these are panels in twelve bits of so many blocks of so many inputs, all places within them.
bool are_short_panels(const DecodePanels& panels, std::int64_t blocks, std::int64_t inputs);

// Raw views, as long as the tensors live.
ShortPanels view_of(const DecodePanels& panels);

}  // namespace omni::kernels
