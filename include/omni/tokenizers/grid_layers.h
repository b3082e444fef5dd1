#pragma once

#include "omni/nn/layers.h"

namespace omni::tokenizers {

// Pieces that the parts of the grid layout share. Activations are [B, z, y, x, C].

inline constexpr double kGridNormEpsilon = 1e-6;

// [B, z, y, x, C] <-> [B, C, z, y, x] without moving memory: a channels-last convolution.
at::Tensor channels_second(const at::Tensor& x);
at::Tensor channels_last(const at::Tensor& x);

// [B, s, s, s, f^3 C] -> [B, f s, f s, f s, C].
at::Tensor unfold_cells(const at::Tensor& x, std::int64_t factor);

// x + out(gelu(conv3(norm(x)))).
struct ResidualConvolution {
  nn::LayerNorm norm;
  nn::Convolution convolution;
  nn::Linear out;
  ResidualConvolution(const nn::ParameterScope& scope, std::int64_t channels);
  at::Tensor operator()(const at::Tensor& x) const;
};

}  // namespace omni::tokenizers
