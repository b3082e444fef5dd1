#include "omni/nn/decoder_shape.h"

#include <cmath>

namespace omni::nn {

kernels::NormKind DecoderShape::norm_kind() const {
  return norm == "layer" ? kernels::NormKind::layer : kernels::NormKind::root_mean_square;
}

std::int64_t DecoderShape::mlp_width() const {
  if (mlp_hidden > 0) return mlp_hidden;
  const auto wanted =
      static_cast<std::int64_t>(std::ceil(static_cast<double>(width) * mlp_multiplier - 1e-9));
  return (wanted + 31) / 32 * 32;
}

}  // namespace omni::nn
