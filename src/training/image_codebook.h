#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "omni/core/random.h"

namespace omni::training {

// The codebook of the image tokenizer while it learns: unit vectors that follow the means of the vectors
// nearest to them (moving averages). Works in place on `embedding` [codes, d].
class ImageCodebook {
 public:
  ImageCodebook(at::Tensor embedding, double decay, double revival_share);
  // Places the codes by k-means on unit vectors [n, d].
  void start(const at::Tensor& rows, CounterRng& rng);
  // One step: `rows` [n, d] of unit length, the codes [n] that they got.
  void learn(const at::Tensor& rows, const at::Tensor& codes, CounterRng& rng);

  double perplexity() const;  // of the averaged use
  double used_share() const;  // of the codes that are alive
  std::int64_t revived() const { return revived_; }

 private:
  void revive(const at::Tensor& rows, const at::Tensor& codes, double fair_share, CounterRng& rng);
  at::Tensor embedding_, counts_, sums_;
  double decay_, revival_share_;
  std::int64_t revived_ = 0;
};

}  // namespace omni::training
