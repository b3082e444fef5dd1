#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "omni/kernels/tensor.h"
#include "omni/nn/layers.h"
#include "omni/nn/parameters.h"
#include "omni/nn/quantisers.h"
#include "omni/tokenizers/image_tokenizer.h"

namespace omni::tokenizers {

// Codes on the unit sphere, over a codebook that is registered under another name.
nn::QuantiserConfig quantiser_config(const ImageTokenizerConfig& config);

// The network of ImageTokenizer, for training and tests. Parameters have LlamaGen's names. Activations may be
// fp32 or bf16, in either memory format; the quantiser works in fp32.
struct ImageNetwork {
  ImageNetwork(const ImageTokenizerConfig& config, nn::ParameterStart start);

  // Pixels [B, 3, H, W] in -1 .. 1 -> vectors [B, codebook_dim, h, w], before they are normalised.
  at::Tensor encode(const at::Tensor& pixels) const;
  // Vectors [B, codebook_dim, h, w], of unit length -> pixels [B, 3, H, W], not clamped.
  at::Tensor decode(const at::Tensor& codes) const;

  // Divides by the Euclidean norm over channels (dimension 1), in fp32. Differentiable.
  static at::Tensor normalise(const at::Tensor& vectors);
  at::Tensor nearest(const at::Tensor& normalised) const;  // [B, d, h, w] -> int64 [B, h, w]
  at::Tensor lookup(const at::Tensor& indices) const;      // [B, h, w] -> unit vectors [B, d, h, w]
  at::Tensor codebook() const;                             // [codes, d], unit vectors

  ImageTokenizerConfig config;
  nn::ParameterStore parameters;
  at::Tensor embedding;  // quantize.embedding.weight [codes, d]

 private:
  struct ResBlock {
    nn::GroupNorm norm1, norm2;
    nn::Convolution conv1, conv2, shortcut;  // the shortcut only where channels change
    bool has_shortcut = false;
    at::Tensor operator()(const at::Tensor& x) const;
  };
  struct AttentionBlock {
    nn::GroupNorm norm;
    nn::Convolution q, k, v, proj_out;
    at::Tensor operator()(const at::Tensor& x) const;
  };
  struct Level {
    std::vector<ResBlock> res;
    std::vector<AttentionBlock> attention;  // empty, or one after each residual block
    nn::Convolution resample;               // to the next level
    bool has_resample = false;
  };
  struct Half {  // encoder or decoder
    nn::Convolution conv_in, conv_out;
    std::vector<Level> levels;
    ResBlock mid_first, mid_last;
    std::vector<AttentionBlock> mid_attention;  // none or one
    nn::GroupNorm norm_out;
  };
  nn::GroupNorm make_norm(const nn::ParameterScope& scope, std::int64_t channels) const;
  ResBlock make_res(const nn::ParameterScope& scope, std::int64_t in, std::int64_t out) const;
  AttentionBlock make_attention(const nn::ParameterScope& scope, std::int64_t channels) const;
  Level make_level(const nn::ParameterScope& scope, std::int64_t in, std::int64_t out, std::int64_t blocks,
                   bool attention) const;
  void make_mid(const nn::ParameterScope& scope, std::int64_t channels, Half& half) const;
  void make_encoder();
  void make_decoder();
  static at::Tensor run_level(const Level& level, at::Tensor x);
  static at::Tensor run_mid(const Half& half, at::Tensor x);

  Half encoder_, decoder_;
  nn::Convolution quant_conv_, post_quant_conv_;
  std::optional<nn::VectorQuantiser> quantiser_;  // over `embedding`
};

}  // namespace omni::tokenizers
