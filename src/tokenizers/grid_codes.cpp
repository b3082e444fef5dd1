#include "omni/tokenizers/grid_codes.h"

#include <algorithm>

#include "omni/core/error.h"

namespace omni::tokenizers {

using at::Tensor;

namespace {

constexpr std::int64_t kStartVectors = 8192;  // of each level, for the codebook's start

Tensor select_level(const std::vector<Tensor>& by_level, const Tensor& levels) {
  Tensor chosen = by_level[0];
  for (std::size_t i = 1; i < by_level.size(); ++i)
    chosen =
        at::where(levels.view({-1, 1, 1, 1, 1}).eq(static_cast<std::int64_t>(i) + 1), by_level[i], chosen);
  return chosen;
}

Tensor rows_of(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }

}  // namespace

GridCodes::GridCodes(const nn::ParameterScope& scope, const nn::QuantiserConfig& config, std::int64_t side,
                     bool adaptive)
    : bounds_(config.kind == "fsq"), quantiser_(nn::make_quantiser(scope, config)) {
  if (adaptive && (side & (side - 1)) != 0)
    fail(ErrorKind::usage, "shape tokenizer: adaptive_length needs a power of two of codes a side, not ",
         side, ". Change the resolution or the number of encoder stages");
  if (adaptive && config.kind == "spherical")
    fail(ErrorKind::usage,
         "shape tokenizer: spherical codes leave no residual for finer levels. Use fsq or vq with "
         "adaptive_length");
  for (std::int64_t level = adaptive ? 1 : side; level <= side; level *= 2) {
    sides_.push_back(level);
    lengths_.push_back((lengths_.empty() ? 0 : lengths_.back()) + level * level * level);
  }
  if (adaptive) gains_ = scope.add("gains", {level_count()}, nn::Init::ones(), false);
}

std::int64_t GridCodes::levels_of(std::int64_t length) const {
  const auto found = std::find(lengths_.begin(), lengths_.end(), length);
  return found == lengths_.end() ? 0 : found - lengths_.begin() + 1;
}

Tensor GridCodes::pooled(const Tensor& z, std::size_t level) const {
  const std::int64_t side = sides_[level], cell = sides_.back() / side;
  if (cell == 1) return z;
  return z.reshape({z.size(0), side, cell, side, cell, side, cell, z.size(4)}).mean({2, 4, 6});
}

Tensor GridCodes::spread(const Tensor& values, std::size_t level) const {
  const std::int64_t side = sides_[level], cell = sides_.back() / side, full = sides_.back();
  if (cell == 1) return values;
  return values.reshape({values.size(0), side, 1, side, 1, side, 1, values.size(4)})
      .expand({values.size(0), side, cell, side, cell, side, cell, values.size(4)})
      .reshape({values.size(0), full, full, full, values.size(4)});
}

Tensor GridCodes::bounded(const Tensor& unit) const { return bounds_ ? unit.clamp(-1, 1) : unit; }

Tensor GridCodes::continuous(const Tensor& z, const Tensor& levels) const {
  if (level_count() == 1) return z;
  std::vector<Tensor> means;
  for (std::size_t level = 0; level < sides_.size(); ++level)
    means.push_back(spread(pooled(z, level), level));
  return select_level(means, levels);
}

GridCodes::Coded GridCodes::quantise(const Tensor& z, const Tensor& levels) const {
  Coded coded;
  coded.loss = at::zeros({});
  Tensor sum = at::zeros_like(z).detach();
  std::vector<Tensor> rounded, indices, vectors;
  for (std::size_t level = 0; level < sides_.size(); ++level) {
    Tensor unit = level_count() == 1 ? z : pooled(z, level) - pooled(sum, level);
    const Tensor gain = gains_.defined() ? gains_[static_cast<std::int64_t>(level)] : at::ones({});
    if (gains_.defined()) unit = bounded(unit / gain);
    const nn::Quantised quantised = quantiser_->quantise(unit);
    const Tensor values = quantised.values.detach() * gain;
    sum = sum + spread(values, level);
    const Tensor mean = spread(pooled(z, level), level);
    rounded.push_back(mean + (sum - mean).detach());
    indices.push_back(quantised.indices.flatten(1));
    vectors.push_back(rows_of(unit.detach()).view({z.size(0), -1, z.size(4)}));
    coded.loss = coded.loss + quantised.loss * gain.square();  // in units of z
  }
  coded.values = select_level(rounded, levels);
  coded.indices = at::cat(indices, 1);
  coded.vectors = rows_of(at::cat(vectors, 1));
  return coded;
}

Tensor GridCodes::indices(const Tensor& z) const {
  const c10::NoGradGuard no_grad;
  return quantise(z, at::full({z.size(0)}, level_count(), at::kLong)).indices;
}

Tensor GridCodes::values(const Tensor& indices) const {
  const std::int64_t levels = levels_of(indices.size(1));
  ensure(levels > 0, "no prefix of ", indices.size(1), " codes");
  Tensor sum;
  std::int64_t begin = 0;
  for (std::int64_t level = 0; level < levels; ++level) {
    const auto place = static_cast<std::size_t>(level);
    const std::int64_t side = sides_[place], count = side * side * side;
    Tensor values =
        quantiser_->lookup(indices.narrow(1, begin, count).reshape({indices.size(0), side, side, side}));
    if (gains_.defined()) values = values * gains_[level];
    values = spread(values, place);
    sum = sum.defined() ? sum + values : values;
    begin += count;
  }
  return sum;
}

void GridCodes::start(const Tensor& z, CounterRng& rng) {
  const c10::NoGradGuard no_grad;
  // FSQ spans [-1, 1]: twice the deviation covers nearly all residuals. A learnt codebook takes the
  // deviation.
  const double deviations = bounds_ ? 2.0 : 1.0;
  Tensor sum = at::zeros_like(z);
  std::vector<Tensor> units;
  for (std::size_t level = 0; level < sides_.size(); ++level) {
    const Tensor residual = pooled(z, level) - pooled(sum, level);
    Tensor unit = residual;
    if (gains_.defined()) {
      Tensor gain = gains_[static_cast<std::int64_t>(level)];
      gain.fill_(std::max(1e-4, deviations * residual.square().mean().sqrt().item<double>()));
      unit = bounded(residual / gain);
    }
    // The few vectors of a coarse level count as much as the many of a fine one.
    const Tensor rows = rows_of(unit);
    units.push_back(rows.slice(0, 0, {}, (rows.size(0) + kStartVectors - 1) / kStartVectors));
    sum = sum + spread(residual, level);
  }
  quantiser_->start(at::cat(units), rng);
}

void GridCodes::learn(const Coded& coded, CounterRng& rng) {
  quantiser_->learn(coded.vectors, coded.indices.flatten(), rng);
}

}  // namespace omni::tokenizers
