#include "omni/nn/cast_weights.h"

#include <c10/core/InferenceMode.h>

namespace omni::nn {

CastWeight::Origin CastWeight::origin() const {
  return {static_cast<std::uint32_t>(weight_._version()), weight_.const_data_ptr()};
}

const at::Tensor& CastWeight::as(at::ScalarType type) const {
  if (weight_.scalar_type() == type) return weight_;
  if (!copy_.defined() || copy_.scalar_type() != type || copied_ != origin()) {
    // Of use to gradients too, though it may be made while no gradients are wanted.
    const c10::InferenceMode ordinary_tensors(false);
    const at::Tensor weight = weight_.detach();
    const bool fits = copy_.defined() && copy_.scalar_type() == type && copy_.device() == weight.device();
    copy_ = fits ? copy_.copy_(weight) : weight.to(type);
    copied_ = origin();
  }
  return copy_;
}

const kernels::DecodeWeight& CastWeight::for_decoding(kernels::DecodeFormat format) const {
  if (!packed_.defined() || packed_.format() != format || packed_from_ != origin()) {
    packed_ = kernels::DecodeWeight(weight_, format);
    packed_from_ = origin();
  }
  return packed_;
}

void CastWeight::set_packed(kernels::DecodeWeight packed) {
  packed_ = std::move(packed);
  packed_from_ = origin();
}

void CastWeight::forget_copies() {
  copy_ = at::Tensor();
  packed_ = kernels::DecodeWeight();
}

}  // namespace omni::nn
