#include "omni/tokenizers/grid_codes.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "omni/core/error.h"

namespace omni::tokenizers {

using at::Tensor;

namespace {

constexpr std::int64_t kStartVectors = 8192;  // of each level, for the codebook's start

Tensor rows_of(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }

}  // namespace

GridCodes::GridCodes(const nn::ParameterScope& bottleneck, const nn::ParameterScope& decoder,
                     const nn::QuantiserConfig& config, std::int64_t side, std::int64_t encoder_channels,
                     std::int64_t decoder_channels, bool adaptive)
    : norm_(encoder_channels, kGridNormEpsilon), context_norm_(decoder_channels, kGridNormEpsilon) {
  if (adaptive && (side & (side - 1)) != 0)
    fail(ErrorKind::usage, "shape tokenizer: adaptive_length needs a power of two of codes a side, not ",
         side, ". Change the resolution or the number of encoder stages");
  for (std::int64_t level = adaptive ? 1 : side; level <= side; level *= 2) {
    sides_.push_back(level);
    lengths_.push_back((lengths_.empty() ? 0 : lengths_.back()) + level * level * level);
  }
  const std::int64_t dims = nn::dimensions_of(config);
  const auto scope_of = [&](std::size_t i) {
    return bottleneck.sub("levels").sub(static_cast<std::int64_t>(i));
  };
  levels_.resize(sides_.size());
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    const auto in = sides_[i] == side ? bottleneck.sub("in") : scope_of(i).sub("in");
    levels_[i].in = nn::Linear(in, encoder_channels + (i > 0 ? decoder_channels : 0), dims);
  }
  quantiser_ = nn::make_quantiser(bottleneck, config);
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    const bool finest = sides_[i] == side;
    const auto own = scope_of(i);
    Level& level = levels_[i];
    level.out = nn::Linear(finest ? decoder.sub("in") : own.sub("out"), dims, decoder_channels);
    level.positions =
        (finest ? decoder : own)
            .add("positions", {sides_[i], sides_[i], sides_[i], decoder_channels}, nn::Init::normal(0.02));
    if (finest) continue;
    level.shrink = nn::Convolution(own.sub("shrink"), 3, encoder_channels, encoder_channels, 2, 2);
    level.encode.emplace(own.sub("encode"), encoder_channels);
    level.decode.emplace(own.sub("decode"), decoder_channels);
    level.expand = nn::Linear(own.sub("expand"), decoder_channels, 8 * decoder_channels);
  }
  if (level_count() > 1)
    length_rows_ = decoder.add("lengths", {level_count(), decoder_channels}, nn::Init::normal(0.02));
}

std::int64_t GridCodes::levels_of(std::int64_t length) const {
  const auto found = std::find(lengths_.begin(), lengths_.end(), length);
  return found == lengths_.end() ? 0 : found - lengths_.begin() + 1;
}

Tensor GridCodes::all_levels(std::int64_t batch) const { return at::full({batch}, level_count(), at::kLong); }

std::vector<Tensor> GridCodes::encoder_features(const Tensor& h) const {
  std::vector<Tensor> features(levels_.size());
  features.back() = h;
  for (std::size_t i = levels_.size() - 1; i-- > 0;) {
    const Tensor shrunk = levels_[i].shrink(channels_second(features[i + 1]));
    features[i] = (*levels_[i].encode)(at::gelu(channels_last(shrunk)));
  }
  return features;
}

Tensor GridCodes::merged(std::size_t level, const Tensor& before, const Tensor& values,
                         const Tensor& levels) const {
  const Level& own = levels_[level];
  Tensor h = own.out(values);
  if (level_count() > 1) {
    const Tensor counts = levels.gt(static_cast<std::int64_t>(level)).to(h.scalar_type());
    h = h * counts.view({-1, 1, 1, 1, 1});
  }
  h = h + own.positions.to(h.scalar_type());
  if (before.defined()) h = h + before;
  if (level + 1 < levels_.size()) return unfold_cells(own.expand((*own.decode)(h)), 2);
  if (!length_rows_.defined()) return h;
  return h + at::embedding(length_rows_, levels - 1).view({-1, 1, 1, 1, h.size(-1)}).to(h.scalar_type());
}

Tensor GridCodes::walk(const Tensor& h, const Tensor& all_levels, const Choose& choose) const {
  const std::vector<Tensor> features = encoder_features(h);
  const Tensor levels = all_levels.to(h.device());
  Tensor context;
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    Tensor seen = norm_(features[i]);
    if (context.defined()) seen = at::concat({seen, context_norm_(context)}, -1);
    const Tensor values = choose(quantiser_->prepare(levels_[i].in(seen)));
    context = merged(i, context, values.to(h.scalar_type()), levels);
  }
  return context;
}

GridCodes::Coded GridCodes::quantise(const Tensor& h, const Tensor& levels, const Mix& mix) const {
  Coded coded;
  coded.loss = at::zeros({});
  std::vector<Tensor> indices, vectors;
  coded.features = walk(h, levels, [&](const Tensor& prepared) {
    const nn::Quantised quantised = quantiser_->quantise(prepared);
    indices.push_back(quantised.indices.flatten(1));
    vectors.push_back(prepared.detach().flatten(1, 3));
    coded.loss = coded.loss + quantised.loss;
    if (!mix) return quantised.values;
    return mix(prepared.flatten(1, 3), quantised.values.flatten(1, 3)).view(prepared.sizes());
  });
  coded.indices = at::concat(indices, 1);
  coded.vectors = rows_of(at::concat(vectors, 1));
  return coded;
}

GridCodes::Coded GridCodes::continuous(const Tensor& h, const Tensor& levels) const {
  Coded coded;
  coded.loss = at::zeros({});
  coded.features = walk(h, levels, [](const Tensor& prepared) { return prepared; });
  return coded;
}

Tensor GridCodes::indices(const Tensor& h) const {
  const c10::NoGradGuard no_grad;
  return quantise(h, all_levels(h.size(0))).indices;
}

Tensor GridCodes::features(const Tensor& indices) const {
  const std::int64_t count = levels_of(indices.size(1)), batch = indices.size(0);
  ensure(count > 0, "no prefix of ", indices.size(1), " codes");
  const Tensor levels = at::full({batch}, count, at::kLong);
  Tensor h;
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    const std::int64_t side = sides_[i], codes = side * side * side;
    const bool counts = static_cast<std::int64_t>(i) < count;
    const Tensor values =
        counts ? quantiser_->lookup(indices.narrow(1, begin, codes).reshape({batch, side, side, side}))
               : at::zeros({batch, side, side, side, quantiser_->dimensions()});
    h = merged(i, h, values, levels);
    begin += codes;
  }
  return h;
}

void GridCodes::start(const Tensor& h, CounterRng& rng) {
  const c10::NoGradGuard no_grad;
  std::vector<Tensor> vectors;
  walk(h, all_levels(h.size(0)), [&](const Tensor& prepared) {
    // The few vectors of a coarse level count as much as the many of a fine one.
    const Tensor rows = rows_of(prepared);
    vectors.push_back(rows.slice(0, 0, {}, (rows.size(0) + kStartVectors - 1) / kStartVectors));
    return prepared;
  });
  quantiser_->start(at::concat(vectors), rng);
}

}  // namespace omni::tokenizers
