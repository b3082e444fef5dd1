#include "omni/tokenizers/grid_layers.h"

namespace omni::tokenizers {

using at::Tensor;

Tensor channels_second(const Tensor& x) { return x.permute({0, 4, 1, 2, 3}); }
Tensor channels_last(const Tensor& x) { return x.permute({0, 2, 3, 4, 1}); }

Tensor unfold_cells(const Tensor& x, std::int64_t factor) {
  const auto batch = x.size(0), side = x.size(1), channels = x.size(4) / (factor * factor * factor);
  return x.view({batch, side, side, side, factor, factor, factor, channels})
      .permute({0, 1, 4, 2, 5, 3, 6, 7})
      .reshape({batch, side * factor, side * factor, side * factor, channels});
}

ResidualConvolution::ResidualConvolution(const nn::ParameterScope& scope, std::int64_t channels)
    : norm(channels, kGridNormEpsilon),
      convolution(scope.sub("conv"), 3, channels, channels, 3, 1, 1),
      out(scope.sub("out"), channels, channels) {}

Tensor ResidualConvolution::operator()(const Tensor& x) const {
  return x + out(at::gelu(channels_last(convolution(channels_second(norm(x))))));
}

}  // namespace omni::tokenizers
