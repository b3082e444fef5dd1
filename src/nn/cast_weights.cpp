#include "omni/nn/cast_weights.h"

namespace omni::nn {

const at::Tensor& CastWeight::as(at::ScalarType type) const {
  if (weight_.scalar_type() == type) return weight_;
  const void* source = weight_.const_data_ptr();
  const auto version = static_cast<std::uint32_t>(weight_._version());
  const bool fresh =
      copy_.defined() && copy_.scalar_type() == type && source_ == source && version_ == version;
  if (!fresh) {
    copy_ = weight_.detach().to(type);
    source_ = source;
    version_ = version;
  }
  return copy_;
}

}  // namespace omni::nn
