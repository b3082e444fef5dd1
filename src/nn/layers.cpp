#include "omni/nn/layers.h"

#include "omni/core/error.h"
#include "omni/kernels/widened.h"

namespace omni::nn {
namespace {

Tensor as_type_of(const Tensor& weight, const Tensor& x) {
  return weight.defined() && weight.scalar_type() != x.scalar_type() ? weight.to(x.scalar_type()) : weight;
}

}  // namespace

Linear::Linear(const ParameterScope& scope, std::int64_t in, std::int64_t out, bool with_bias)
    : Linear(scope, in, out, with_bias, Init::fan_in(in)) {}

Linear::Linear(const ParameterScope& scope, std::int64_t in, std::int64_t out, bool with_bias, Init init) {
  weight = scope.add("weight", {out, in}, init);
  if (with_bias) bias = scope.add("bias", {out}, Init::zeros());
}

Tensor Linear::operator()(const Tensor& x) const {
  const Tensor in = kernels::widened(x);
  return at::linear(in, as_type_of(weight, in), as_type_of(bias, in)).to(x.scalar_type());
}

LayerNorm::LayerNorm(const ParameterScope& scope, std::int64_t width, double epsilon)
    : width(width), epsilon(epsilon) {
  weight = scope.add("weight", {width}, Init::ones());
  bias = scope.add("bias", {width}, Init::zeros());
}

Tensor LayerNorm::operator()(const Tensor& x) const {
  const Tensor wide = x.scalar_type() == at::kFloat ? x : x.to(at::kFloat);
  return at::layer_norm(wide, {width}, weight, bias, epsilon).to(x.scalar_type());
}

RmsNorm::RmsNorm(const ParameterScope& scope, std::int64_t width, double epsilon) : epsilon(epsilon) {
  weight = scope.add("weight", {width}, Init::ones());
}

Tensor RmsNorm::operator()(const Tensor& x) const {
  const Tensor wide = x.scalar_type() == at::kFloat ? x : x.to(at::kFloat);
  return at::rms_norm(wide, {weight.size(0)}, weight, epsilon).to(x.scalar_type());
}

Convolution::Convolution(const ParameterScope& scope, int dimensions, std::int64_t in, std::int64_t out,
                         std::int64_t kernel, std::int64_t stride, std::int64_t padding, bool with_bias)
    : stride(stride), padding(padding) {
  ensure(dimensions == 2 || dimensions == 3, "convolutions are 2D or 3D");
  std::vector<std::int64_t> shape{out, in, kernel, kernel};
  std::int64_t inputs = in * kernel * kernel;
  if (dimensions == 3) {
    shape.push_back(kernel);
    inputs *= kernel;
  }
  weight = scope.add("weight", shape, Init::fan_in(inputs));
  if (with_bias) bias = scope.add("bias", {out}, Init::zeros());
}

// oneDNN (as of LibTorch 2.11) leaves parts of a bf16 weight gradient unwritten where the kernel is larger
// than the input.
static bool loses_gradients(const Tensor& x, const Tensor& weight) {
  if (!x.device().is_cpu() || x.scalar_type() != at::kBFloat16) return false;
  for (std::int64_t axis = 2; axis < weight.dim(); ++axis)
    if (x.size(axis) < weight.size(axis)) return true;
  return false;
}

Tensor Convolution::operator()(const Tensor& x) const {
  if (kernels::is_widened(x) || loses_gradients(x, weight))
    return (*this)(x.to(at::kFloat)).to(x.scalar_type());
  const Tensor w = as_type_of(weight, x);
  const Tensor b = as_type_of(bias, x);
  if (weight.dim() == 4) return at::conv2d(x, w, b, stride, padding);
  return at::conv3d(x, w, b, stride, padding);
}

GroupNorm::GroupNorm(const ParameterScope& scope, std::int64_t groups, std::int64_t channels, double epsilon)
    : groups(groups), epsilon(epsilon) {
  ensure(channels % groups == 0, channels, " channels cannot be split into ", groups, " groups");
  weight = scope.add("weight", {channels}, Init::ones());
  bias = scope.add("bias", {channels}, Init::zeros());
}

Tensor GroupNorm::operator()(const Tensor& x) const {
  return at::group_norm(x, groups, as_type_of(weight, x), as_type_of(bias, x), epsilon);
}

}  // namespace omni::nn
