#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "omni/core/safetensors.h"

namespace omni {

// The index of the first element that is infinite or not a number; nothing where there is none, as among whole numbers.
// Reads the bytes once, on all cores, and allocates nothing.
std::optional<std::int64_t> first_not_finite(const TensorView& view);

// What weights have to be. Throws Error(input) naming the file, the tensor, the element and its value.
void require_finite(const TensorView& view, const std::string& tensor, const std::string& file);

}  // namespace omni
