#pragma once

#include "omni/nn/layers.h"

namespace omni::tokenizers {

// Pre-norm attention block; cross (queries from h, keys and values from data) or self.
class VecsetBlock {
 public:
  VecsetBlock(const nn::ParameterScope& scope, std::int64_t width, std::int64_t heads, bool cross);
  // h [B, N, width], data [B, L, width] -> [B, N, width] fp32. A self block ignores `data`; `causal`: rows
  // attend to themselves and to earlier ones.
  at::Tensor operator()(const at::Tensor& h, const at::Tensor& data, bool causal = false) const;

  struct KeysValues {
    at::Tensor keys, values;  // [B, L, heads, head dim]
  };
  KeysValues keys_values(const at::Tensor& data) const;                // cross only
  at::Tensor attend(const at::Tensor& h, const KeysValues& kv) const;  // cross only
  bool cross() const { return cross_; }

  // Matmuls and attention run in `type` from here on, fp32 (the default) or bf16; norms, the sums along the
  // blocks and the results stay in fp32. Weights that need no gradient are converted now, the parameters
  // themselves, so that no second copy takes memory; others are converted at every call.
  void compute_in(at::ScalarType type);

 private:
  at::Tensor split_heads(const at::Tensor& x) const;
  at::Tensor finish(const at::Tensor& h, const at::Tensor& q, const KeysValues& kv, bool causal) const;
  std::int64_t heads_;
  bool cross_;
  at::ScalarType type_ = at::kFloat;
  nn::LayerNorm norm_;
  nn::Linear c_q_, c_k_, c_qk_, c_v_, c_proj_, up_, down_;
  nn::RmsNorm q_norm_, k_norm_;
};

// The conversion of one layer's weights that VecsetBlock::compute_in() describes.
void convert_frozen_weights(nn::Linear& layer, at::ScalarType type);

}  // namespace omni::tokenizers
