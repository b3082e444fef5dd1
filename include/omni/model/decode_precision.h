#pragma once

#include <string_view>

#include "omni/kernels/cache_type.h"
#include "omni/kernels/decode_format.h"

namespace omni::model {

// How a decode session keeps what it reads anew for every token. On the CPU; activations keep the model's
// type.
struct DecodePrecision {
  kernels::DecodeFormat weights = kernels::DecodeFormat::fp32;
  kernels::CacheType cache = kernels::CacheType::fp32;
};
// "fp32", "bf16" or "int8", for both; throws Error(usage) for another name.
DecodePrecision parse_decode_precision(std::string_view name);

}  // namespace omni::model
