#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "omni/nn/quantisers.h"
#include "omni/tokenizers/grid_layers.h"

namespace omni::tokenizers {

// The codes of the grid layout, between the encoder's features and the decoder's: one grid of side^3 codes,
// or, with adaptive length, a pyramid of grids with 1, 2, 4, ... side codes a side, coarse to fine (as the
// two levels of VQ-VAE-2; Razavi et al. 2019, arXiv 1906.00446). Each level sees the encoder's features at
// its own resolution and what the decoder knows from the levels before it, so it codes what they left; levels
// that do not count add nothing. Any prefix of whole levels is a coarser shape. All levels share one
// codebook.
//
// Encoder features h are [B, s, s, s, C], decoder features [B, s, s, s, E]. `levels` [B] (int64) says for
// each sample how many levels count, 1 .. level_count().
class GridCodes {
 public:
  // Throws Error(usage) for adaptive length with a side that is not a power of two.
  GridCodes(const nn::ParameterScope& bottleneck, const nn::ParameterScope& decoder,
            const nn::QuantiserConfig& config, std::int64_t side, std::int64_t encoder_channels,
            std::int64_t decoder_channels, bool adaptive);

  std::int64_t level_count() const { return static_cast<std::int64_t>(sides_.size()); }
  std::int64_t code_count() const { return lengths_.back(); }
  // Codes of the first 1, 2, ... levels.
  const std::vector<std::int64_t>& lengths() const { return lengths_; }
  std::int64_t levels_of(std::int64_t length) const;  // 0: no prefix has that length
  at::Tensor all_levels(std::int64_t batch) const;    // [batch] int64, for full length

  struct Coded {
    at::Tensor features;  // [B, s, s, s, E], the decoder's
    at::Tensor indices;   // [B, code_count()] int64, of all levels; undefined where nothing was quantised
    at::Tensor vectors;   // [B * code_count(), D]: what was rounded to the codes
    at::Tensor loss;      // scalar: the commitment of every level
  };
  // What the decoder is given in place of one level's codes: from its prepared vectors and their codes'
  // values, both [B, n, D].
  using Mix = std::function<at::Tensor(const at::Tensor& continuous, const at::Tensor& quantised)>;
  Coded quantise(const at::Tensor& h, const at::Tensor& levels, const Mix& mix = {}) const;
  Coded continuous(const at::Tensor& h, const at::Tensor& levels) const;  // without rounding

  at::Tensor indices(const at::Tensor& h) const;         // [B, code_count()] int64
  at::Tensor features(const at::Tensor& indices) const;  // [B, lengths()[i]] -> [B, s, s, s, E]
  nn::Quantiser& quantiser() { return *quantiser_; }
  const nn::Quantiser& quantiser() const { return *quantiser_; }

  // Training only: the codebook from a sample of encoder features. After a step the quantiser learns of its
  // vectors.
  void start(const at::Tensor& h, CounterRng& rng);

 private:
  struct Level {
    nn::Linear in, out;
    at::Tensor positions;  // [n, n, n, E]
    // Of all levels but the finest: their features from the next finer level's, and what they tell it.
    nn::Convolution shrink;
    std::optional<ResidualConvolution> encode, decode;
    nn::Linear expand;
  };
  // One level's prepared vectors [B, n, n, n, D] -> the values that the decoder is given.
  using Choose = std::function<at::Tensor(const at::Tensor& prepared)>;
  at::Tensor walk(const at::Tensor& h, const at::Tensor& levels, const Choose& choose) const;
  std::vector<at::Tensor> encoder_features(const at::Tensor& h) const;  // of every level
  // What the decoder knows after a level, from what it knew before (undefined at the first).
  at::Tensor merged(std::size_t level, const at::Tensor& before, const at::Tensor& values,
                    const at::Tensor& levels) const;

  std::vector<std::int64_t> sides_, lengths_;
  std::vector<Level> levels_;
  nn::LayerNorm norm_, context_norm_;
  at::Tensor length_rows_;  // [levels, E]: tells the decoder how many levels count; undefined with one level
  std::unique_ptr<nn::Quantiser> quantiser_;
};

}  // namespace omni::tokenizers
