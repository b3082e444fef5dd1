#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "omni/nn/quantisers.h"

namespace omni::tokenizers {

// The codes of the grid layout: one grid of side^3 codes, or, with adaptive length, a residual pyramid of
// grids with 1, 2, 4, ... side codes a side (Tian et al. 2024, arXiv 2404.02905, section 3.2). Each level
// codes the mean, over its cells, of what the levels before it left; the value of a prefix is the sum of its
// levels, each spread over its cells. So any prefix of whole levels is a coarser shape. All levels share one
// codebook, scaled by a gain of their own.
//
// Vectors z are [B, s, s, s, D] and prepared (nn::Quantiser::prepare). `levels` [B] (int64) says for each
// sample how many levels count, 1 .. level_count().
class GridCodes {
 public:
  // Registers the codebook and, with adaptive length, `gains` [level_count()] under `scope`. Throws
  // Error(usage) for adaptive length with a side that is no power of two or with spherical codes, which leave
  // no residual.
  GridCodes(const nn::ParameterScope& scope, const nn::QuantiserConfig& config, std::int64_t side,
            bool adaptive);

  std::int64_t level_count() const { return static_cast<std::int64_t>(sides_.size()); }
  std::int64_t code_count() const { return lengths_.back(); }
  const std::vector<std::int64_t>& lengths() const {
    return lengths_;
  }                                                   // codes of the first 1, 2, ... levels
  std::int64_t levels_of(std::int64_t length) const;  // 0: no prefix has that length

  at::Tensor prepare(const at::Tensor& z) const { return quantiser_->prepare(z); }
  // The bypass: means over the cells of the last level that counts. Differentiable.
  at::Tensor continuous(const at::Tensor& z, const at::Tensor& levels) const;

  struct Coded {
    at::Tensor values;   // like z; gradients pass to continuous(z, levels)
    at::Tensor indices;  // [B, code_count()], of all levels
    at::Tensor loss;     // scalar: the commitment of every level
    at::Tensor vectors;  // [B * code_count(), D]: what was rounded to the codes; for learn()
  };
  Coded quantise(const at::Tensor& z, const at::Tensor& levels) const;

  at::Tensor indices(const at::Tensor& z) const;       // [B, code_count()]
  at::Tensor values(const at::Tensor& indices) const;  // [B, lengths()[i]] -> [B, s, s, s, D]
  nn::Quantiser& quantiser() { return *quantiser_; }
  const nn::Quantiser& quantiser() const { return *quantiser_; }

  // Training only: gains and codebook from a sample of vectors; the codebook after a step.
  void start(const at::Tensor& z, CounterRng& rng);
  void learn(const Coded& coded, CounterRng& rng);

 private:
  at::Tensor pooled(const at::Tensor& z, std::size_t level) const;       // means over the level's cells
  at::Tensor spread(const at::Tensor& values, std::size_t level) const;  // back to side^3
  at::Tensor bounded(const at::Tensor& unit) const;
  std::vector<std::int64_t> sides_, lengths_;
  bool bounds_ = false;  // codes lie in [-1, 1]
  std::unique_ptr<nn::Quantiser> quantiser_;
  at::Tensor gains_;  // undefined with one level
};

}  // namespace omni::tokenizers
