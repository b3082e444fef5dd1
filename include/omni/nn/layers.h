#pragma once

#include "omni/nn/parameters.h"

namespace omni::nn {

// Layers are small value types that hold handles to parameters of a ParameterStore. Inputs of another dtype
// than the weights (bf16 activations, fp32 weights) make the layer cast its weights for the call, so bf16
// runs keep fp32 master weights.

struct Linear {
  Tensor weight;  // [out, in]
  Tensor bias;    // [out], undefined if absent
  Linear() = default;
  Linear(const ParameterScope& scope, std::int64_t in, std::int64_t out, bool with_bias = true);
  Linear(const ParameterScope& scope, std::int64_t in, std::int64_t out, bool with_bias, Init init);
  Tensor operator()(const Tensor& x) const;  // [..., in] -> [..., out]
};

// Layer norm in fp32, returned in the dtype of x. Without scale and shift unless asked.
struct LayerNorm {
  Tensor weight, bias;
  std::int64_t width = 0;
  double epsilon = 1e-6;
  LayerNorm() = default;
  LayerNorm(std::int64_t width, double epsilon) : width(width), epsilon(epsilon) {}
  LayerNorm(const ParameterScope& scope, std::int64_t width, double epsilon);  // with scale and shift
  Tensor operator()(const Tensor& x) const;
};

// Root-mean-square norm over the last dimension in fp32 (Zhang and Sennrich 2019, arXiv 1910.07467), returned
// in the dtype of x.
struct RmsNorm {
  Tensor weight;
  double epsilon = 1e-5;
  RmsNorm() = default;
  RmsNorm(const ParameterScope& scope, std::int64_t width, double epsilon);
  Tensor operator()(const Tensor& x) const;
};

// 2D or 3D convolution of x [B, in, ...]; the weight is [out, in, k, k] or [out, in, k, k, k].
struct Convolution {
  Tensor weight, bias;
  std::int64_t stride = 1, padding = 0;
  Convolution() = default;
  Convolution(const ParameterScope& scope, int dimensions, std::int64_t in, std::int64_t out,
              std::int64_t kernel, std::int64_t stride = 1, std::int64_t padding = 0, bool with_bias = true);
  Tensor operator()(const Tensor& x) const;
};

// Over groups of the channels of x [B, channels, ...] (Wu and He 2018, arXiv 1803.08494).
struct GroupNorm {
  Tensor weight, bias;
  std::int64_t groups = 32;
  double epsilon = 1e-6;
  GroupNorm() = default;
  GroupNorm(const ParameterScope& scope, std::int64_t groups, std::int64_t channels, double epsilon = 1e-6);
  Tensor operator()(const Tensor& x) const;
};

}  // namespace omni::nn
