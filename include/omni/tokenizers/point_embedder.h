#pragma once

#include "omni/nn/parameters.h"

namespace omni::tokenizers {

// Phase-modulated Fourier features of points, as in Cube3D (Roblox 2025, arXiv 2503.15475). With t =
// linspace(0, 1, F) and carrier_k = 2 pi ((F/8)^(1-t_k) + t_k): [x, cos(x_d W_dk) + cos(x_d pi/2 +
// carrier_k), and the same with sin], flattened coordinate-major.
class PointEmbedder {
 public:
  PointEmbedder() = default;
  PointEmbedder(const nn::ParameterScope& scope, std::int64_t frequencies);
  at::Tensor operator()(const at::Tensor& points) const;  // [..., 3] -> [..., width()], fp32
  std::int64_t width() const { return 3 + 6 * frequencies_; }

 private:
  std::int64_t frequencies_ = 0;
  at::Tensor weight_;   // [3, F]
  at::Tensor carrier_;  // [F]
};

}  // namespace omni::tokenizers
