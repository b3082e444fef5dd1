#pragma once

namespace omni::kernels {

// How the weight of a decode_linear is kept. int8 has one scale per output (the row's largest magnitude is
// 127); its inputs are used as 16-bit fixed point over each row's largest magnitude, summed in integers.
enum class DecodeFormat { fp32, bf16, int8 };

}  // namespace omni::kernels
