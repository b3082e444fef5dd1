#include "omni/tokenizers/vecset_block.h"

#include <c10/core/InferenceMode.h>

#include "omni/kernels/set_attention.h"

namespace omni::tokenizers {

using at::Tensor;

namespace {

constexpr double kLayerNormEpsilon = 1e-6;
constexpr double kHeadNormEpsilon = 1e-5;

}  // namespace

VecsetBlock::VecsetBlock(const nn::ParameterScope& scope, std::int64_t width, std::int64_t heads, bool cross)
    : heads_(heads), cross_(cross), norm_(width, kLayerNormEpsilon) {
  const auto attention = scope.sub("attn");
  if (cross) {
    c_q_ = nn::Linear(attention.sub("c_q"), width, width);
    c_k_ = nn::Linear(attention.sub("c_k"), width, width);
  } else {
    c_qk_ = nn::Linear(attention.sub("c_qk"), width, 2 * width);
    q_norm_ = nn::RmsNorm(attention.sub("q_norm"), width / heads, kHeadNormEpsilon);
    k_norm_ = nn::RmsNorm(attention.sub("k_norm"), width / heads, kHeadNormEpsilon);
  }
  c_v_ = nn::Linear(attention.sub("c_v"), width, width);
  c_proj_ = nn::Linear(attention.sub("c_proj"), width, width);
  up_ = nn::Linear(scope.sub("mlp").sub("up_proj"), width, 4 * width);
  down_ = nn::Linear(scope.sub("mlp").sub("down_proj"), 4 * width, width);
}

Tensor VecsetBlock::split_heads(const Tensor& x) const {
  return x.view({x.size(0), x.size(1), heads_, x.size(2) / heads_});
}

VecsetBlock::KeysValues VecsetBlock::keys_values(const Tensor& data) const {
  const Tensor normed = norm_(data).to(type_);
  return {split_heads(c_k_(normed)), split_heads(c_v_(normed))};
}

Tensor VecsetBlock::finish(const Tensor& h, const Tensor& q, const KeysValues& kv, bool causal) const {
  const Tensor mixed = kernels::set_attention(q, kv.keys, kv.values, causal);
  const Tensor attended = h + c_proj_(mixed.reshape(h.sizes()));
  return attended + down_(at::gelu(up_(norm_(attended).to(type_))));
}

Tensor VecsetBlock::attend(const Tensor& h, const KeysValues& kv) const {
  return finish(h, split_heads(c_q_(norm_(h).to(type_))), kv, false);
}

Tensor VecsetBlock::operator()(const Tensor& h, const Tensor& data, bool causal) const {
  if (cross_) return attend(h, keys_values(data));
  const Tensor normed = norm_(h).to(type_);
  const auto qk = c_qk_(normed).chunk(2, -1);
  return finish(h, q_norm_(split_heads(qk[0])), {k_norm_(split_heads(qk[1])), split_heads(c_v_(normed))},
                causal);
}

void convert_frozen_weights(nn::Linear& layer, at::ScalarType type) {
  const c10::InferenceMode ordinary_tensors(false);
  // In the place of the values that they had, also for whoever else holds the tensor: nothing keeps both.
  const auto convert = [type](Tensor& tensor) {
    if (tensor.defined() && !tensor.requires_grad()) tensor.set_data(tensor.to(type));
  };
  convert(layer.weight);
  convert(layer.bias);
}

void VecsetBlock::compute_in(at::ScalarType type) {
  type_ = type;
  for (nn::Linear* layer : {&c_q_, &c_k_, &c_qk_, &c_v_, &c_proj_, &up_, &down_})
    convert_frozen_weights(*layer, type);
}

}  // namespace omni::tokenizers
