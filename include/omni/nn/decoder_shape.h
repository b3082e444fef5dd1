#pragma once

#include <cstdint>
#include <string>

#include "omni/kernels/add_norm.h"

namespace omni::nn {

// The sizes and choices that all blocks of a decoder share: as a config gives them, with what follows from
// them.
struct DecoderShape {
  std::int64_t width = 192;
  std::int64_t heads = 6;
  std::int64_t head_size = 0;         // 0: width / heads
  std::int64_t key_value_heads = 0;   // 0: as many as heads; else a divisor of heads
  double mlp_multiplier = 8.0 / 3.0;  // hidden width of the SwiGLU, rounded up to a multiple of 32
  std::int64_t mlp_hidden = 0;        // that width itself; 0: from the multiplier
  std::string norm = "rms";           // rms, layer
  bool norm_scale = true;
  double norm_epsilon = 1e-6;
  bool bias = false;  // in every linear layer of the blocks
  bool query_key_norm = true;
  double query_key_norm_epsilon = 1e-5;
  double initial_deviation = 0.02;  // standard deviation of the weights at the start

  kernels::NormKind norm_kind() const;
  std::int64_t attention_head_size() const { return head_size > 0 ? head_size : width / heads; }
  std::int64_t stored_heads() const { return key_value_heads > 0 ? key_value_heads : heads; }
  std::int64_t query_width() const { return heads * attention_head_size(); }
  std::int64_t qkv_width() const { return query_width() + 2 * stored_heads() * attention_head_size(); }
  std::int64_t mlp_width() const;
};

}  // namespace omni::nn
