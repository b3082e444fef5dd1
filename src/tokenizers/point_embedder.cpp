#include "omni/tokenizers/point_embedder.h"

#include <numbers>

namespace omni::tokenizers {

PointEmbedder::PointEmbedder(const nn::ParameterScope& scope, std::int64_t frequencies)
    : frequencies_(frequencies) {
  // A few turns over the frame: low enough to learn from few samples, high enough to tell neighbours apart.
  weight_ = scope.add("weight", {3, frequencies}, nn::Init::normal(6.0));
  const at::Tensor t = at::linspace(0.0, 1.0, frequencies, at::TensorOptions().dtype(at::kFloat));
  carrier_ = 2.0 * std::numbers::pi * (at::pow(static_cast<double>(frequencies) / 8.0, 1.0 - t) + t);
}

at::Tensor PointEmbedder::operator()(const at::Tensor& points) const {
  const at::Tensor x = points.to(at::kFloat);
  const at::Tensor column = x.unsqueeze(-1);
  const at::Tensor learned = (column * weight_).flatten(-2);
  const at::Tensor carried = (column * (std::numbers::pi / 2) + carrier_.to(x.device())).flatten(-2);
  return at::concat({x, learned.cos() + carried.cos(), learned.sin() + carried.sin()}, -1);
}

}  // namespace omni::tokenizers
