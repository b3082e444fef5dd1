#pragma once

#include <memory>

#include "omni/core/config.h"
#include "omni/nn/layers.h"
#include "omni/nn/quantisers.h"
#include "omni/tokenizers/point_embedder.h"
#include "omni/tokenizers/vecset_block.h"

namespace omni::tokenizers {

// Colour codes of the vecset layout, beside geometry codes of any origin, such as a frozen public
// tokenizer's.
struct VecsetColourConfig {
  std::int64_t codes = 0;   // 0 turns colour off
  std::int64_t layers = 1;  // self-attention blocks, of the encoder and of the decoder
  nn::QuantiserConfig quantiser = {.kind = "vq"};
};
void describe(ConfigVisitor& visitor, VecsetColourConfig& config);

// Learned queries attend to coloured surface points and to the geometry latents; what they find becomes
// codes. The colour at a point attends to the latents of both. Geometry latents are detached: colour never
// changes geometry.
class VecsetColour {
 public:
  // Parameters lie under `scope`. The embedder is the geometry's, and is not trained by colour.
  VecsetColour(const nn::ParameterScope& scope, const VecsetColourConfig& config, std::int64_t width,
               std::int64_t heads, PointEmbedder embedder);

  // points and colours (sRGB, 0 .. 1) [B, N, 3], decoded geometry latents [B, n, E]
  // -> prepared vectors [B, codes, D].
  at::Tensor encode(const at::Tensor& points, const at::Tensor& colours, const at::Tensor& latents) const;
  // Code values [B, codes, D] and the geometry latents -> what colours() attends to.
  VecsetBlock::KeysValues context(const at::Tensor& code_values, const at::Tensor& latents) const;
  // Colours at points [B, Q, 3] -> [B, Q, 3], sRGB, 0 .. 1.
  at::Tensor colours(const VecsetBlock::KeysValues& context, const at::Tensor& points) const;

  void compute_in(at::ScalarType type);  // of its blocks, as VecsetBlock::compute_in()

  nn::Quantiser& quantiser() { return *quantiser_; }
  const nn::Quantiser& quantiser() const { return *quantiser_; }

 private:
  PointEmbedder embedder_;
  nn::Linear feat_in_, feat_out_, code_in_, code_out_, query_in_, query_out_, head_;
  at::Tensor query_, positions_;
  std::unique_ptr<VecsetBlock> encoder_cross_, head_cross_;
  std::vector<VecsetBlock> encoder_blocks_, decoder_blocks_;
  nn::LayerNorm encoder_norm_, head_norm_;
  std::unique_ptr<nn::Quantiser> quantiser_;
};

}  // namespace omni::tokenizers
