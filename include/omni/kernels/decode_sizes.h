#pragma once

#include <cstdint>

namespace omni::kernels {

// What a step of decoding is told of a transformer's blocks, on the CPU as on a GPU.
struct DecodeSizes {
  std::int64_t heads = 0, key_value_heads = 0, head_size = 0, inner = 0;
  bool interleaved = false, centred = false;  // which dimensions turn together; layer norm or RMS norm
  double norm_epsilon = 0, head_norm_epsilon = 0;
};

}  // namespace omni::kernels
