#pragma once

#include "omni/kernels/decode_linear.h"
#include "omni/kernels/tensor.h"

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
  // The same for products with few rows. On the CPU.
  const kernels::DecodeWeight& for_decoding(kernels::DecodeFormat format) const;
  // Gives what for_decoding() is to give in its format, for a weight of shapes alone.
  void set_packed(kernels::DecodeWeight packed);
  // Frees the copies; they are made again when they are asked for. Not where set_packed() gave one.
  void forget_copies();

 private:
  // Which state of the weight a copy was made from.
  struct Origin {
    std::uint32_t version = 0;
    const void* source = nullptr;
    bool operator==(const Origin&) const = default;
  };
  Origin origin() const;

  at::Tensor weight_;
  mutable at::Tensor copy_;
  mutable Origin copied_;
  mutable kernels::DecodeWeight packed_;
  mutable Origin packed_from_;
};

}  // namespace omni::nn
