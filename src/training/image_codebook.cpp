#include "image_codebook.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "omni/core/perplexity.h"
#include "omni/nn/quantisers.h"

namespace omni::training {

using at::Tensor;

namespace {
Tensor unit_rows(const Tensor& rows) { return rows / rows.norm(2, {1}, true).clamp_min(1e-12); }
}  // namespace

ImageCodebook::ImageCodebook(Tensor embedding, double decay, double revival_share)
    : embedding_(std::move(embedding)), decay_(decay), revival_share_(revival_share) {}

void ImageCodebook::start(const Tensor& rows, CounterRng& rng) {
  const c10::NoGradGuard no_grad;
  embedding_.copy_(unit_rows(nn::k_means(rows, embedding_.size(0), 10, rng)));
  counts_ = Tensor();
}

void ImageCodebook::learn(const Tensor& rows, const Tensor& codes, CounterRng& rng) {
  const c10::NoGradGuard no_grad;
  const std::int64_t size = embedding_.size(0);
  const double fair_share = double(rows.size(0)) / double(size);
  if (!counts_.defined()) {
    counts_ = at::full({size}, fair_share);
    sums_ = embedding_ * fair_share;
  }
  const Tensor counts = at::bincount(codes, {}, size).to(at::kFloat);
  counts_.mul_(decay_).add_(counts, 1 - decay_);
  sums_.mul_(decay_).add_(at::zeros_like(sums_).index_add_(0, codes, rows), 1 - decay_);
  revive(rows, codes, fair_share, rng);
  embedding_.copy_(unit_rows(sums_));
}

void ImageCodebook::revive(const Tensor& rows, const Tensor& codes, double fair_share, CounterRng& rng) {
  const Tensor dead = counts_.lt(revival_share_ * fair_share).nonzero().flatten();
  if (dead.size(0) == 0) return;
  // New places are drawn in proportion to the squared error there, as k-means++ does.
  const Tensor error = (rows - embedding_.index_select(0, codes)).square().sum(1).to(at::kDouble).cumsum(0);
  const double total = error[-1].item<double>();
  for (std::int64_t i = 0; i < dead.size(0); ++i) {
    const auto code = dead[i].item<std::int64_t>();
    const auto found = at::searchsorted(error, rng.uniform() * total).item<std::int64_t>();
    const std::int64_t row = std::min(found, rows.size(0) - 1);
    counts_[code] = fair_share * 0.25;  // a short life unless vectors come to it
    sums_[code].copy_(rows[row] * (fair_share * 0.25));
  }
  revived_ += dead.size(0);
}

double ImageCodebook::perplexity() const {
  if (!counts_.defined()) return 0;
  const Tensor counts = counts_.to(at::kDouble).contiguous();
  return omni::perplexity({counts.const_data_ptr<double>(), static_cast<std::size_t>(counts.numel())});
}

double ImageCodebook::used_share() const {
  if (!counts_.defined()) return 0;
  const double fair_share = counts_.mean().item<double>();
  return counts_.gt(revival_share_ * fair_share).to(at::kFloat).mean().item<double>();
}

}  // namespace omni::training
