#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "omni/core/config.h"
#include "omni/nn/layers.h"
#include "omni/nn/quantisers.h"
#include "omni/tokenizers/point_embedder.h"
#include "omni/tokenizers/shape_tokenizer.h"
#include "omni/tokenizers/vecset_block.h"
#include "omni/tokenizers/vecset_colour.h"

namespace omni::tokenizers {

// The vecset layout: surface points with normals -> a set of latents -> codes -> a field at any point.
// Sizes, arithmetic and tensor names are Cube3D's (Roblox 2025, arXiv 2503.15475). Defaults are a small model
// that learns on a CPU; Cube3D v0.5 is latents 1024, width 768, heads 12, frequencies 128, encoder_layers 13
// with cross attention at 0, 2, 4, 8, decoder_layers 24, spherical codes 16384 x 32.
struct VecsetShapeConfig {
  std::int64_t latents = 64;
  bool class_token = true;
  std::int64_t width = 128;
  std::int64_t heads = 4;
  std::int64_t frequencies = 32;
  std::int64_t encoder_layers = 3;
  std::vector<std::int64_t> encoder_cross_attention_layers = {0, 2};
  std::int64_t decoder_layers = 4;
  nn::QuantiserConfig quantiser;
  std::int64_t surface_points = 1024;
  double sharp_edge_share = 0;  // of the surface points, those drawn on sharp edges
  // The latents' queries attend causally and the decoder is told how many codes there are, so that the first
  // latents / 2, / 4, ... / 32 codes are coarser shapes.
  bool adaptive_length = false;
  // What the latents start from: learned rows, or the farthest of the surface points, in that order, beside
  // them (as 3DShape2VecSet's point queries; Zhang et al. 2023, arXiv 2301.11445).
  std::string queries = "learned";
  VecsetColourConfig colour;
};
void describe(ConfigVisitor& visitor, VecsetShapeConfig& config);
void validate(const VecsetShapeConfig& config);  // throws Error(usage)

class VecsetShapeNetwork {
 public:
  explicit VecsetShapeNetwork(const VecsetShapeConfig& config, nn::ParameterStart start = {});

  struct Encoded {
    at::Tensor latents;      // z_e [B, L, E]
    at::Tensor class_token;  // [B, E]; undefined without
  };
  at::Tensor embed(const at::Tensor& points) const { return embedder_(points); }  // see PointEmbedder
  Encoded encode(const at::Tensor& surface) const;       // [B, N, 6]: positions, normals
  at::Tensor prepared(const at::Tensor& latents) const;  // c_in, normalised: [B, L, codebook dim]
  // [B, n, codebook dim] -> latents [B, n, E]; n is one of lengths().
  at::Tensor decode(const at::Tensor& code_values) const;
  // Ascending; the last is config().latents.
  const std::vector<std::int64_t>& lengths() const { return lengths_; }
  // The field of decoded latents at queries [B, Q, 3] -> [B, Q] fp32.
  at::Tensor field(const at::Tensor& latents, const at::Tensor& queries) const;
  VecsetBlock::KeysValues field_keys_values(const at::Tensor& latents) const;
  at::Tensor field(const VecsetBlock::KeysValues& latents, const at::Tensor& queries) const;

  // Where the arithmetic of the layers happens: fp32 (the default) or bf16, as VecsetBlock::compute_in().
  // Embeddings, norms, quantisers and results stay in fp32.
  void compute_in(at::ScalarType type);

  nn::Quantiser& quantiser() { return *quantiser_; }
  const nn::Quantiser& quantiser() const { return *quantiser_; }
  bool has_colour() const { return colour_ != nullptr; }
  VecsetColour& colour() { return *colour_; }  // not without colour
  const VecsetColour& colour() const { return *colour_; }
  nn::ParameterStore& parameters() { return store_; }
  const nn::ParameterStore& parameters() const { return store_; }
  at::Device device() const { return query_.device(); }
  const VecsetShapeConfig& config() const { return config_; }

  // Reads a file in Cube3D's layout. The shared embedder may lie under `embedder.`, `encoder.embedder.` or
  // `occupancy_decoder.embedder.`. A file without any colour leaves the colour as it is. Throws Error(input)
  // for missing, misshapen or unknown tensors, and for one with an element that is not finite.
  void load(const SafetensorsFile& file);
  // Whether load() would take it, but for the values, which are not read: throws as load(). The parameters may have
  // shapes alone.
  void require_fitting(const SafetensorsFile& file) const;

 private:
  at::Tensor at_farthest_points(const at::Tensor& surface, const at::Tensor& data) const;

  VecsetShapeConfig config_;
  nn::ParameterStore store_;
  PointEmbedder embedder_;
  nn::Linear feat_in_, feat_out_, code_in_, code_out_, query_in_, query_out_, head_;
  at::Tensor query_, positions_;
  std::vector<std::int64_t> lengths_;
  at::Tensor length_rows_;  // [lengths, E]; undefined without adaptive length
  std::vector<VecsetBlock> encoder_blocks_, decoder_blocks_;
  nn::LayerNorm encoder_norm_, field_norm_;
  std::unique_ptr<VecsetBlock> field_block_;
  std::unique_ptr<nn::Quantiser> quantiser_;
  std::unique_ptr<VecsetColour> colour_;
  at::ScalarType type_ = at::kFloat;
};

class VecsetShapeTokenizer : public ShapeTokenizer {
 public:
  explicit VecsetShapeTokenizer(const VecsetShapeConfig& config, nn::ParameterStart start = {});
  ~VecsetShapeTokenizer() override;

  ShapeInput required_input() const override;
  std::int64_t geometry_code_count() const override;
  std::int64_t geometry_vocabulary() const override;
  std::vector<std::int64_t> offered_lengths() const override;
  std::int64_t colour_code_count() const override { return network_->config().colour.codes; }
  std::int64_t colour_vocabulary() const override;
  std::int64_t geometry_grid_side() const override { return 0; }
  std::int64_t colour_grid_side() const override { return 0; }
  at::Tensor geometry_codebook() const override;
  at::Tensor colour_codebook() const override;
  std::vector<ShapeCodes> encode(std::span<const ShapeSample> samples) const override;
  std::vector<std::unique_ptr<DecodedShape>> decode(std::span<const ShapeCodes> codes) const override;
  void compute_in(at::ScalarType type) override { network_->compute_in(type); }
  void to(at::Device device) override { network_->parameters().to(device); }
  StoredTokenizer stored() const override;

  VecsetShapeNetwork& network() { return *network_; }
  const VecsetShapeNetwork& network() const { return *network_; }

 private:
  void encode_batch(std::span<const ShapeSample> samples, std::vector<ShapeCodes>& codes) const;

  std::shared_ptr<VecsetShapeNetwork> network_;  // shared with decoded shapes
};

// [B, N, 6] fp32, positions and normals, from samples that all hold N surface points.
at::Tensor surface_tensor(std::span<const ShapeSample> samples);

}  // namespace omni::tokenizers
