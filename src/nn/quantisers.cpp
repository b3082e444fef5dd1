#include "omni/nn/quantisers.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <numeric>

#include "omni/core/error.h"

namespace omni::nn {

void describe(ConfigVisitor& visitor, QuantiserConfig& config) {
  visitor.choice("kind", config.kind, {"fsq", "vq", "spherical"});
  visitor.integers("levels", config.levels, {.minimum = 2, .maximum = 64});
  visitor.integer("codebook_size", config.codebook_size, {.minimum = 2, .maximum = 1 << 20});
  visitor.integer("codebook_dim", config.codebook_dim, {.minimum = 1, .maximum = 1024});
  visitor.number("commitment", config.commitment, {.minimum = 0});
  visitor.number("decay", config.decay, {.minimum = 0, .maximum = 0.9999});
  visitor.number("revival_share", config.revival_share, {.minimum = 0, .maximum = 1});
  visitor.added_later(!config.unit_length,
                      [&](ConfigVisitor& added) { added.flag("unit_length", config.unit_length); });
}

std::int64_t vocabulary_of(const QuantiserConfig& config) {
  if (config.kind != "fsq") return config.codebook_size;
  std::int64_t product = 1;
  for (const auto level : config.levels) {
    product *= level;
    if (product > (std::int64_t{1} << 24))
      fail(ErrorKind::usage,
           "quantiser: the levels give more than 2^24 codes. Use fewer dimensions or levels");
  }
  return product;
}

std::int64_t dimensions_of(const QuantiserConfig& config) {
  return config.kind == "fsq" ? static_cast<std::int64_t>(config.levels.size()) : config.codebook_dim;
}

std::unique_ptr<Quantiser> make_quantiser(const ParameterScope& scope, const QuantiserConfig& config) {
  if (config.kind == "vq") return std::make_unique<VectorQuantiser>(scope, config);
  if (config.kind == "spherical") return std::make_unique<SphericalQuantiser>(scope, config);
  if (config.levels.empty())
    fail(ErrorKind::usage, "quantiser: levels is empty. Give one number per dimension");
  vocabulary_of(config);
  return std::make_unique<FiniteScalarQuantiser>(config.levels);
}

Tensor Quantiser::lookup(const Tensor& indices) const {
  const Tensor rows = at::embedding(codebook().to(indices.device()), indices.to(at::kLong).flatten());
  std::vector<std::int64_t> shape = indices.sizes().vec();
  shape.push_back(dimensions());
  return rows.view(shape);
}

Quantised Quantiser::quantise(const Tensor& prepared) const {
  Quantised out;
  out.indices = nearest(prepared.detach());
  const Tensor codes = lookup(out.indices);
  out.values = prepared + (codes - prepared).detach();
  out.loss = loss(prepared, codes);
  return out;
}

void Quantiser::start(const Tensor&, CounterRng&) {}
void Quantiser::learn(const Tensor&, const Tensor&, CounterRng&) {}
void Quantiser::restore_learning(const std::map<std::string, Tensor>&) {}

void Quantiser::share(SharedVectors shared) { shared_ = std::move(shared); }
Tensor Quantiser::summed(const Tensor& own) const {
  if (shared_.sum) shared_.sum(own);
  return own;
}
Tensor Quantiser::gathered(const Tensor& own) const { return shared_.gather ? shared_.gather(own) : own; }
void Quantiser::take_from_first(const Tensor& own) const {
  if (shared_.from_first) shared_.from_first(own.detach());
}
void Quantiser::take_from_first(CounterRng& rng, at::Device device) const {
  if (!shared_.from_first) return;
  const Tensor position = at::full({1}, static_cast<std::int64_t>(rng.position()), at::kLong).to(device);
  shared_.from_first(position);
  rng.move_to(static_cast<std::uint64_t>(position.item<std::int64_t>()));
}
Tensor Quantiser::chosen_by_first(const Tensor& chosen) const {
  if (!shared_.from_first) return chosen.nonzero().flatten();
  const Tensor numbers = chosen.to(at::kLong);
  shared_.from_first(numbers);
  return numbers.nonzero().flatten();
}

Tensor Quantiser::loss(const Tensor& prepared, const Tensor& codes) const {
  return at::mse_loss(prepared, codes.detach());
}

Tensor unit_length(const Tensor& x, std::int64_t dimension) {
  const Tensor wide = x.to(at::kFloat);
  return wide / wide.norm(2, {dimension}, true).clamp_min(1e-12);
}

Tensor nearest_rows(const Tensor& rows, const Tensor& codes) {
  c10::NoGradGuard no_grad;
  constexpr std::int64_t kChunkElements = std::int64_t{1} << 24;
  const std::int64_t chunk =
      std::max<std::int64_t>(1, kChunkElements / std::max<std::int64_t>(1, codes.size(0)));
  const Tensor offset = codes.square().sum(1) * 0.5;  // argmin |r - c|^2 = argmin |c|^2 / 2 - r.c
  const Tensor transposed = codes.t();
  std::vector<Tensor> parts;
  for (std::int64_t begin = 0; begin < rows.size(0); begin += chunk) {
    const Tensor part = rows.narrow(0, begin, std::min(chunk, rows.size(0) - begin));
    parts.push_back(at::addmm(offset, part, transposed, 1, -1).argmin(1));
  }
  if (parts.empty()) return at::empty({0}, rows.options().dtype(at::kLong));
  return parts.size() == 1 ? parts[0] : at::concat(parts);
}

namespace {

constexpr double kRevivedShare = 0.25;  // of the fair share: a short life unless vectors come to the code

// Uses of each code of a step if all were used alike. counts [vocabulary], int64.
double fair_share_of(const Tensor& counts) {
  return static_cast<double>(counts.sum().item<std::int64_t>()) / static_cast<double>(counts.size(0));
}

Tensor seed_clusters(const Tensor& rows, std::int64_t clusters, CounterRng& rng) {
  const std::int64_t count = rows.size(0);
  Tensor centres = at::empty({clusters, rows.size(1)}, rows.options());
  centres[0].copy_(rows[static_cast<std::int64_t>(rng.below(count))]);
  Tensor distance = (rows - centres[0]).square().sum(1).to(at::kDouble);
  for (std::int64_t k = 1; k < clusters; ++k) {
    const Tensor cumulative = distance.cumsum(0);
    const double total = cumulative[count - 1].item<double>();
    std::int64_t chosen = static_cast<std::int64_t>(rng.below(count));
    if (total > 0) {
      const double target = rng.uniform() * total;
      chosen = at::searchsorted(cumulative, target).item<std::int64_t>();
      chosen = std::min(chosen, count - 1);
    }
    centres[k].copy_(rows[chosen]);
    distance = at::minimum(distance, (rows - centres[k]).square().sum(1).to(at::kDouble));
  }
  return centres;
}

// A row drawn with probability proportional to its squared distance from the code that it was given: dead
// codes go where the codebook is thin. Rows [n, d], given [n, d].
class FarRows {
 public:
  FarRows(const Tensor& rows, const Tensor& given)
      : rows_(rows), cumulative_((rows - given).square().sum(1).to(at::kDouble).cumsum(0)) {}
  Tensor draw(CounterRng& rng) const {
    const std::int64_t last = rows_.size(0) - 1;
    const double total = cumulative_[last].item<double>();
    if (!(total > 0)) return rows_[static_cast<std::int64_t>(rng.below(rows_.size(0)))];
    return rows_[std::min(last, at::searchsorted(cumulative_, rng.uniform() * total).item<std::int64_t>())];
  }

 private:
  Tensor rows_, cumulative_;
};

Tensor restored(const std::map<std::string, Tensor>& state, const std::string& name, at::IntArrayRef shape) {
  const auto found = state.find(name);
  if (found == state.end() || found->second.sizes() != shape)
    fail(ErrorKind::input, "restoring a quantiser: its ", name, " are missing or have another shape than ",
         shape);
  return found->second.to(at::kFloat).clone();
}

}  // namespace

Tensor k_means(const Tensor& rows_in, std::int64_t clusters, int iterations, CounterRng& rng) {
  c10::NoGradGuard no_grad;
  const Tensor rows = rows_in.detach().to(at::kFloat).contiguous();
  ensure(rows.dim() == 2 && rows.size(0) > 0, "k_means needs rows [n, d]");
  Tensor centres = seed_clusters(rows, clusters, rng);
  for (int i = 0; i < iterations; ++i) {
    const Tensor assigned = nearest_rows(rows, centres);
    const Tensor counts = at::bincount(assigned, {}, clusters);
    const Tensor sums = at::zeros_like(centres).index_add_(0, assigned, rows);
    centres = sums / counts.clamp_min(1).to(at::kFloat).unsqueeze(1);
    const Tensor empty = counts.eq(0).nonzero().flatten();
    for (std::int64_t j = 0; j < empty.size(0); ++j)
      centres[empty[j].item<std::int64_t>()].copy_(rows[static_cast<std::int64_t>(rng.below(rows.size(0)))]);
  }
  return centres;
}

FiniteScalarQuantiser::FiniteScalarQuantiser(std::vector<std::int64_t> levels) : levels_(std::move(levels)) {
  constexpr double kSlack = 1e-3;  // keeps the outermost levels reachable by a finite input
  const auto n = dimensions();
  half_levels_ = at::empty({n});
  bound_ = at::empty({n});
  offset_ = at::empty({n});
  shift_ = at::empty({n});
  basis_ = at::empty({n}, at::kLong);
  std::int64_t stride = 1;
  for (std::int64_t d = 0; d < n; ++d) {
    const double bound = static_cast<double>(levels_[d] - 1) * (1 + kSlack) / 2;
    const double offset = levels_[d] % 2 == 0 ? 0.5 : 0.0;
    half_levels_[d] = static_cast<double>(levels_[d] / 2);
    bound_[d] = bound;
    offset_[d] = offset;
    // Even levels with two values have |offset| close to bound; atanh stays finite thanks to the slack.
    shift_[d] = std::atanh(offset / bound);
    basis_[d] = stride;
    stride *= levels_[d];
  }
}

std::int64_t FiniteScalarQuantiser::vocabulary() const {
  return std::accumulate(levels_.begin(), levels_.end(), std::int64_t{1}, std::multiplies<>());
}

Tensor FiniteScalarQuantiser::codebook() const {
  const Tensor index = at::arange(vocabulary(), at::kLong).unsqueeze(1);
  Tensor sizes = at::tensor(levels_, at::kLong);
  const Tensor digits = index.floor_divide(basis_).remainder(sizes).to(at::kFloat);
  return (digits - half_levels_) / half_levels_;
}

Tensor FiniteScalarQuantiser::prepare(const Tensor& z) const {
  const at::Device device = z.device();
  return (at::tanh(z.to(at::kFloat) + shift_.to(device)) * bound_.to(device) - offset_.to(device)) /
         half_levels_.to(device);
}

Tensor FiniteScalarQuantiser::nearest(const Tensor& prepared) const {
  const at::Device device = prepared.device();
  const Tensor largest = (at::tensor(levels_, at::kLong) - 1).to(device), half = half_levels_.to(device);
  Tensor digits = (prepared.to(at::kFloat) * half + half).round().to(at::kLong);
  digits = at::minimum(digits.clamp_min(0), largest);
  return (digits * basis_.to(device)).sum(-1);
}

Tensor FiniteScalarQuantiser::loss(const Tensor& prepared, const Tensor&) const {
  return at::zeros({}, prepared.options());
}

VectorQuantiser::VectorQuantiser(const ParameterScope& scope, const QuantiserConfig& config)
    : config_(config) {
  codebook_ = scope.add("codebook", {config.codebook_size, config.codebook_dim}, Init::normal(1.0),
                        {.trainable = false});
}

VectorQuantiser::VectorQuantiser(Tensor codebook, const QuantiserConfig& config)
    : config_(config), codebook_(std::move(codebook)) {
  ensure(codebook_.sizes() == at::IntArrayRef({config.codebook_size, config.codebook_dim}),
         "a codebook of another size than its config says");
}

Tensor VectorQuantiser::codebook() const {
  return config_.unit_length ? nn::unit_length(codebook_, -1) : codebook_;
}

Tensor VectorQuantiser::prepare(const Tensor& z) const {
  return config_.unit_length ? nn::unit_length(z, -1) : z.to(at::kFloat);
}

Tensor VectorQuantiser::nearest(const Tensor& prepared) const {
  const c10::NoGradGuard no_grad;
  const Tensor rows = prepared.to(at::kFloat).reshape({-1, dimensions()});
  std::vector<std::int64_t> shape = prepared.sizes().vec();
  shape.pop_back();
  // On the unit sphere the nearest code is the one with the largest inner product.
  if (config_.unit_length) return at::matmul(rows, codebook().t()).argmax(1).view(shape);
  return nearest_rows(rows, codebook_).view(shape);
}

Tensor VectorQuantiser::loss(const Tensor& prepared, const Tensor& codes) const {
  return config_.commitment * at::mse_loss(prepared, codes.detach());
}

void VectorQuantiser::start(const Tensor& prepared, CounterRng& rng) {
  c10::NoGradGuard no_grad;
  codebook_.copy_(k_means(prepared.reshape({-1, dimensions()}), vocabulary(), 10, rng));
  if (config_.unit_length) codebook_.copy_(codebook());
  counts_ = at::Tensor();
  take_from_first(codebook_);
  take_from_first(rng, codebook_.device());
}

void VectorQuantiser::learn(const Tensor& prepared, const Tensor& indices, CounterRng& rng) {
  c10::NoGradGuard no_grad;
  const Tensor rows = prepared.detach().to(at::kFloat).reshape({-1, dimensions()});
  const Tensor flat = indices.flatten();
  const Tensor counts = summed(at::bincount(flat, {}, vocabulary()));
  const Tensor sums = summed(at::zeros_like(codebook_).index_add_(0, flat, rows));
  const double fair_share = fair_share_of(counts);
  if (!counts_.defined()) {
    counts_ = at::full({vocabulary()}, fair_share, codebook_.options());
    sums_ = codebook_ * fair_share;
  }
  counts_.mul_(config_.decay).add_(counts.to(at::kFloat), 1 - config_.decay);
  sums_.mul_(config_.decay).add_(sums, 1 - config_.decay);
  const Tensor dead = chosen_by_first(counts_.lt(config_.revival_share * fair_share));
  if (dead.size(0) > 0) {
    const FarRows far(gathered(rows), gathered(codebook_.index_select(0, flat)));
    for (std::int64_t i = 0; i < dead.size(0); ++i) {
      const auto code = dead[i].item<std::int64_t>();
      counts_[code] = fair_share * kRevivedShare;
      sums_[code].copy_(far.draw(rng) * (fair_share * kRevivedShare));
    }
  }
  codebook_.copy_(config_.unit_length ? nn::unit_length(sums_, -1)
                                      : sums_ / counts_.clamp_min(1e-6).unsqueeze(1));
  for (const Tensor& learnt : {counts_, sums_, codebook_}) take_from_first(learnt);
  if (dead.size(0) > 0) take_from_first(rng, codebook_.device());
}

std::vector<std::pair<std::string, Tensor>> VectorQuantiser::learning_state() const {
  if (!counts_.defined()) return {};
  return {{"counts", counts_}, {"sums", sums_}};
}

void VectorQuantiser::restore_learning(const std::map<std::string, Tensor>& state) {
  counts_ = restored(state, "counts", {vocabulary()}).to(codebook_.device());
  sums_ = restored(state, "sums", {vocabulary(), dimensions()}).to(codebook_.device());
}

SphericalQuantiser::SphericalQuantiser(const ParameterScope& scope, const QuantiserConfig& config)
    : config_(config) {
  const auto dim = config.codebook_dim;
  weight_ = scope.sub("codebook").add("weight", {config.codebook_size, dim}, Init::normal(1.0));
  scale_ = scope.add("cb_weight", {dim}, Init::ones());
  shift_ = scope.add("cb_bias", {dim}, Init::zeros());
  norm_ = scope.sub("norm").add("weight", {dim}, Init::ones());
}

Tensor SphericalQuantiser::normalise(const Tensor& x) const {
  constexpr double kEpsilon = 1e-5;
  return x * at::rsqrt(x.square().mean(-1, true) + kEpsilon) * norm_;
}

Tensor SphericalQuantiser::codebook() const { return normalise(weight_ * scale_ + shift_); }
Tensor SphericalQuantiser::prepare(const Tensor& z) const { return normalise(z.to(at::kFloat)); }

Tensor SphericalQuantiser::nearest(const Tensor& prepared) const {
  std::vector<std::int64_t> shape = prepared.sizes().vec();
  shape.pop_back();
  c10::NoGradGuard no_grad;
  return nearest_rows(prepared.to(at::kFloat).reshape({-1, dimensions()}), codebook()).view(shape);
}

Tensor SphericalQuantiser::loss(const Tensor& prepared, const Tensor& codes) const {
  return at::mse_loss(codes, prepared.detach()) + config_.commitment * at::mse_loss(prepared, codes.detach());
}

void SphericalQuantiser::place(std::int64_t code, const Tensor& prepared_row) {
  weight_[code].copy_((prepared_row / norm_ - shift_) / scale_);
}

void SphericalQuantiser::start(const Tensor& prepared, CounterRng& rng) {
  c10::NoGradGuard no_grad;
  const Tensor centres = k_means(prepared.reshape({-1, dimensions()}), vocabulary(), 10, rng);
  for (std::int64_t k = 0; k < vocabulary(); ++k) place(k, centres[k]);
  take_from_first(weight_);
  take_from_first(rng, weight_.device());
}

void SphericalQuantiser::learn(const Tensor& prepared, const Tensor& indices, CounterRng& rng) {
  c10::NoGradGuard no_grad;
  const Tensor rows = prepared.detach().reshape({-1, dimensions()});
  const Tensor counts = summed(at::bincount(indices.flatten(), {}, vocabulary()));
  const double fair_share = fair_share_of(counts);
  if (!counts_.defined()) counts_ = at::full({vocabulary()}, fair_share, weight_.options());
  counts_.mul_(config_.decay).add_(counts.to(at::kFloat), 1 - config_.decay);
  const Tensor dead = chosen_by_first(counts_.lt(config_.revival_share * fair_share));
  if (dead.size(0) > 0) {
    const FarRows far(gathered(rows), gathered(lookup(indices.flatten())));
    for (std::int64_t i = 0; i < dead.size(0); ++i) {
      const auto code = dead[i].item<std::int64_t>();
      place(code, far.draw(rng));
      counts_[code] = fair_share * kRevivedShare;
    }
    take_from_first(weight_);
    take_from_first(rng, weight_.device());
  }
  take_from_first(counts_);
}

std::vector<std::pair<std::string, Tensor>> SphericalQuantiser::learning_state() const {
  if (!counts_.defined()) return {};
  return {{"counts", counts_}};
}

void SphericalQuantiser::restore_learning(const std::map<std::string, Tensor>& state) {
  counts_ = restored(state, "counts", {vocabulary()}).to(weight_.device());
}

}  // namespace omni::nn
