#pragma once

#include <memory>
#include <vector>

#include "omni/core/config.h"
#include "omni/nn/layers.h"
#include "omni/nn/quantisers.h"
#include "omni/tokenizers/grid_codes.h"
#include "omni/tokenizers/grid_layers.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::tokenizers {

// Colour of the grid layout. Geometry alone decides which of `slots` a surface point belongs to (a soft
// segmentation learnt from colours); a slot's colour is the mean over its surface, rounded to a palette. The
// codes are the palette indices, one per slot, so recolouring a part changes few codes and never a geometry
// code.
struct GridColourConfig {
  std::int64_t slots = 8;           // colour codes; 0 turns colour off
  std::int64_t palette = 32;        // colour vocabulary
  std::int64_t context_blocks = 0;  // residual convolutions on the code grid: how far a slot looks about
  std::int64_t channels = 64;
  std::int64_t blocks = 2;  // residual convolutions at twice the code grid's resolution
};

// The grid layout: an occupancy grid of `resolution`^3 cells -> stride-2 3D convolutions -> a grid of codes,
// each of 2^stages cells a side -> a grid of logits. The field is the trilinear interpolation of the logits.
struct GridShapeConfig {
  std::int64_t resolution = 32;       // cells a side over [-1, 1]^3; a multiple of 2^stages
  std::int64_t samples_per_axis = 1;  // occupancy samples in each cell and axis
  // One value per stride-2 stage. Kernels (2 or 4) set how far a code looks beyond its own cells: 2, 2, 2 not
  // at all, 4, 4, 2 by three cells. A short reach gives the same local geometry the same code.
  std::vector<std::int64_t> encoder_kernels = {4, 4, 2};
  std::vector<std::int64_t> encoder_channels = {16, 48, 128};
  std::int64_t encoder_mixers = 1;  // pointwise residual layers on the code grid
  nn::QuantiserConfig quantiser;
  std::vector<std::int64_t> decoder_channels = {128, 64};  // on the code grid, and at twice its resolution
  std::vector<std::int64_t> decoder_blocks = {2, 2};       // residual convolutions at each
  std::int64_t output_resolution = 32;                     // of the logits; a multiple of resolution / 4
  GridColourConfig colour;
  std::string weights = "f16";   // f32 or f16 on disk
  bool adaptive_length = false;  // codes of coarser grids first (GridCodes); any prefix of grids is a shape
};
void describe(ConfigVisitor& visitor, GridShapeConfig& config);
void validate(const GridShapeConfig& config);  // throws Error(usage)

// Activations are [B, z, y, x, C]. Weights are fp32; a bf16 input makes the network run in bf16.
class GridShapeNetwork {
 public:
  explicit GridShapeNetwork(const GridShapeConfig& config, nn::ParameterStart start = {});

  // occupancy [B, R, R, R] (z, y, x; 0 .. 1) -> features [B, s, s, s, C] for codes().
  at::Tensor encode(const at::Tensor& occupancy) const;
  // What the colour layers see of the geometry.
  struct Features {
    at::Tensor coarse;  // [B, s, s, s, C0]
    at::Tensor fine;    // [B, 2s, 2s, 2s, C1]
    Features detached() const { return {coarse.detach(), fine.detach()}; }
  };
  struct Decoded {
    at::Tensor logits;  // [B, 1, O, O, O], fp32
    Features features;
  };
  // From what codes() makes of codes, [B, s, s, s, C0].
  Decoded decode(const at::Tensor& code_features) const;
  // Which slot a place belongs to: logits [B, slots, 4s, 4s, 4s], fp32, for trilinear interpolation. Give
  // detached features.
  at::Tensor slot_logits(const Features& features) const;

  std::int64_t code_side() const { return config_.resolution >> config_.encoder_channels.size(); }
  GridCodes& codes() { return *codes_; }
  const GridCodes& codes() const { return *codes_; }
  nn::Quantiser& palette() { return *palette_; }  // not without colour
  const nn::Quantiser& palette() const { return *palette_; }
  bool has_colour() const { return palette_ != nullptr; }
  nn::ParameterStore& parameters() { return store_; }
  const nn::ParameterStore& parameters() const { return store_; }
  const GridShapeConfig& config() const { return config_; }

 private:
  GridShapeConfig config_;
  nn::ParameterStore store_;
  std::vector<nn::Convolution> stages_;
  struct Mixer {
    nn::LayerNorm norm;
    nn::Linear up, down;
  };
  std::vector<Mixer> mixers_;
  nn::Linear expand_, head_;
  std::vector<ResidualConvolution> coarse_, fine_;
  nn::LayerNorm head_norm_;
  nn::Linear colour_context_, colour_in_, colour_head_;
  std::vector<ResidualConvolution> colour_context_blocks_, colour_blocks_;
  nn::LayerNorm colour_norm_;
  std::unique_ptr<GridCodes> codes_;
  std::unique_ptr<nn::Quantiser> palette_;
};

// Mean colour of each slot: `weights` [B, P, slots] (softmax of slot logits) over surface colours [B, P, 3]
// (sRGB, 0 .. 1) with `present` [B, P] 0 or 1. A slot with little or no surface is mid grey.
// -> [B, slots, 3].
at::Tensor slot_colours(const at::Tensor& weights, const at::Tensor& colours, const at::Tensor& present);

// [B, C, O, O, O] at points [B, P, 3] (x, y, z in units of the half extent) -> [B, P, C]; clamped at the
// border.
at::Tensor sample_grid(const at::Tensor& grid, const at::Tensor& points);

class GridShapeTokenizer : public ShapeTokenizer {
 public:
  explicit GridShapeTokenizer(const GridShapeConfig& config, nn::ParameterStart start = {});
  ~GridShapeTokenizer() override;

  ShapeInput required_input() const override;
  std::int64_t geometry_code_count() const override;
  std::int64_t geometry_vocabulary() const override;
  std::vector<std::int64_t> offered_lengths() const override;
  std::int64_t colour_code_count() const override;
  std::int64_t colour_vocabulary() const override;
  std::int64_t geometry_grid_side() const override;
  std::int64_t colour_grid_side() const override { return 0; }  // slots have no places
  at::Tensor geometry_codebook() const override;
  at::Tensor colour_codebook() const override;
  std::vector<ShapeCodes> encode(std::span<const ShapeSample> samples) const override;
  std::vector<std::unique_ptr<DecodedShape>> decode(std::span<const ShapeCodes> codes) const override;
  StoredTokenizer stored() const override;

  GridShapeNetwork& network() { return *network_; }
  const GridShapeNetwork& network() const { return *network_; }

 private:
  void decode_batch(std::span<const ShapeCodes> codes,
                    std::vector<std::unique_ptr<DecodedShape>>& shapes) const;
  std::unique_ptr<GridShapeNetwork> network_;
};

// Indices of occupied cells with an unoccupied neighbour across a face (or at the border).
std::vector<std::int32_t> surface_cells(const geometry::VoxelGrid& grid);

}  // namespace omni::tokenizers
