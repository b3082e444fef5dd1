#pragma once

#include <ATen/ATen.h>

namespace omni::nn {

// A weight and its copy in the type of the activations. The copy is made when first asked for and again only
// after the weight has changed (in place, as optimisers and loaders do), not at every call.
class CastWeight {
 public:
  CastWeight() = default;
  explicit CastWeight(at::Tensor weight) : weight_(std::move(weight)) {}

  bool defined() const { return weight_.defined(); }
  const at::Tensor& weight() const { return weight_; }
  // Not for two threads at once.
  const at::Tensor& as(at::ScalarType type) const;

 private:
  at::Tensor weight_;
  mutable at::Tensor copy_;
  mutable std::uint32_t version_ = 0;
  mutable const void* source_ = nullptr;
};

}  // namespace omni::nn
