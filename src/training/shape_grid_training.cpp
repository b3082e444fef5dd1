#include <ATen/core/grad_mode.h>

#include "omni/nn/precision.h"
#include "shape_layout_training.h"
#include "shape_start.h"

namespace omni::training {

using at::Tensor;

Tensor bypassed_samples(const BatchShare& share, double bypass_share, CounterRng& rng) {
  Tensor bypass = at::zeros({share.batch()}, at::kBool);
  auto* bypassed = bypass.mutable_data_ptr<bool>();
  for (std::int64_t i = 0; i < share.batch(); ++i) bypassed[i] = rng.chance(bypass_share);
  return share.own(bypass);
}

Tensor mix_code_values(const BatchShare& share, const Tensor& continuous, const Tensor& quantised,
                       const Tensor& bypass, double noise_share, CounterRng& rng) {
  Tensor values = quantised;
  if (noise_share > 0) {
    const auto codes = continuous.size(1);
    Tensor replaced = at::zeros({share.batch(), codes, 1}, at::kBool);
    auto* wrong = replaced.mutable_data_ptr<bool>();
    for (std::int64_t i = 0; i < share.batch() * codes; ++i) wrong[i] = rng.chance(noise_share);
    const Tensor others = share.own(share.gather(quantised.detach()).roll({1}, {0}));
    values = at::where(share.own(replaced).to(quantised.device()), others, quantised);
  }
  return at::where(bypass.to(values.device()).view({-1, 1, 1}), continuous, values);
}

Tensor field_loss(const ShapeTokenizerTrainingConfig& config, const Tensor& values, const ShapeBatch& batch) {
  if (config.field_loss == "occupancy") return at::binary_cross_entropy_with_logits(values, batch.inside);
  const Tensor target = (batch.distances / config.truncation).clamp(-1, 1);
  return (at::tanh(values) - target).abs().mean();
}

ShapeMeasure measured_mean(const BatchShare& share, std::string name, double value) {
  return {std::move(name), share.weight() * value, share.weight()};
}

ShapeMeasure point_iou(const Tensor& logits, const Tensor& inside) {
  c10::NoGradGuard no_grad;
  const Tensor predicted = logits.gt(0), truth = inside.gt(0.5);
  return {"point_iou", predicted.logical_and(truth).sum().item<double>(),
          predicted.logical_or(truth).sum().item<double>()};
}

namespace {

class GridTraining : public ShapeLayoutTraining {
 public:
  GridTraining(const ShapeTokenizerTrainingConfig& config, const BatchShare& share,
               const tokenizers::GridShapeTokenizer* start)
      : config_(config),
        share_(share),
        tokenizer_(sizes_of(config.grid, start), static_cast<std::uint64_t>(config.seed)),
        network_(tokenizer_.network()),
        dtype_(nn::precision_type(config.precision)) {
    if (start != nullptr) copy_parameters(start->network().parameters(), network_.parameters());
    if (config.freeze_geometry)
      network_.parameters().freeze(
          [](const nn::Parameter& p) { return !p.name.starts_with(kColourParameters); });
  }

  tokenizers::ShapeTokenizer& tokenizer() override { return tokenizer_; }
  nn::ParameterStore& parameters() override { return network_.parameters(); }

  ShapeLosses forward(const ShapeBatch& batch, bool quantise, CounterRng& rng) override {
    ShapeLosses losses;
    losses.total = at::zeros({});
    const auto features = config_.freeze_geometry ? frozen_geometry(batch, quantise, rng, losses)
                                                  : geometry(batch, quantise, rng, losses);
    if (network_.has_colour()) add_colour(batch, features.detached(), quantise, losses);
    return losses;
  }

  void start_quantisers(const std::vector<ShapeBatch>& batches, CounterRng& rng) override {
    c10::NoGradGuard no_grad;
    std::vector<Tensor> vectors, colours;
    for (const auto& batch : batches) {
      const Tensor h = network_.encode(batch.occupancy.to(dtype_));
      vectors.push_back(share_.gather(h));
      if (!network_.has_colour()) continue;
      const Tensor all = network_.codes().all_levels(h.size(0));
      const auto features = network_.decode(network_.codes().continuous(h, all).features).features;
      colours.push_back(share_.gather(pooled(batch, network_.slot_logits(features)).reshape({-1, 3})));
    }
    if (config_.start.empty()) network_.codes().start(at::concat(vectors), rng);
    if (network_.has_colour()) network_.palette().start(at::concat(colours), rng);
  }

  void learn_codebooks(CounterRng& rng) override {
    if (!config_.freeze_geometry)
      network_.codes().quantiser().learn(geometry_.first, geometry_.second.flatten(), rng);
    if (network_.has_colour()) network_.palette().learn(colours_.first, colours_.second, rng);
  }

  std::vector<std::pair<std::string, nn::Quantiser*>> quantisers() override {
    std::vector<std::pair<std::string, nn::Quantiser*>> all = {{"geometry", &network_.codes().quantiser()}};
    if (network_.has_colour()) all.emplace_back("colour", &network_.palette());
    return all;
  }

 private:
  using Features = tokenizers::GridShapeNetwork::Features;

  // The field's losses; returns what colour sees.
  Features geometry(const ShapeBatch& batch, bool quantise, CounterRng& rng, ShapeLosses& losses) {
    const Tensor h = network_.encode(batch.occupancy.to(dtype_));
    const Tensor levels = draw_levels(rng);
    const auto coded = quantise ? network_.codes().quantise(h, levels, mixed_values(rng))
                                : network_.codes().continuous(h, levels);
    losses.indices = coded.indices;
    geometry_ = {coded.vectors, coded.indices};
    const auto decoded = network_.decode(coded.features);
    const Tensor at_points = tokenizers::sample_grid(decoded.logits, batch.points).squeeze(-1);
    const Tensor field = field_loss(config_, at_points, batch);
    const Tensor cells = at::binary_cross_entropy_with_logits(downsampled(decoded.logits), batch.occupancy);
    losses.total = losses.total + coded.loss + field + config_.grid_loss_weight * cells;
    losses.measured = {measured_mean(share_, "field_loss", field.item<double>()),
                       measured_mean(share_, "cell_loss", cells.item<double>()),
                       point_iou(at_points.narrow(1, config_.near_points, config_.volume_points),
                                 batch.inside.narrow(1, config_.near_points, config_.volume_points))};
    return decoded.features;
  }

  // The same of geometry that stays as it is, and is always quantised.
  Features frozen_geometry(const ShapeBatch& batch, bool quantise, CounterRng& rng, ShapeLosses& losses) {
    const c10::NoGradGuard no_grad;
    const Tensor h = network_.encode(batch.occupancy.to(dtype_));
    const auto coded = network_.codes().quantise(h, draw_levels(rng));
    if (quantise) losses.indices = coded.indices;
    return network_.decode(coded.features).features;
  }

  // How many levels count, for each of this rank's samples: all for the share that the config says; all but the
  // finest for half of the others, and so on.
  Tensor draw_levels(CounterRng& rng) const {
    Tensor levels = network_.codes().all_levels(share_.batch());
    auto* counts = levels.mutable_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < share_.batch(); ++i) {
      if (counts[i] == 1 || rng.chance(config_.full_length_share)) continue;
      do --counts[i];
      while (counts[i] > 1 && rng.chance(0.5));
    }
    return share_.own(levels);
  }

  // The same samples bypass the codes of every level.
  tokenizers::GridCodes::Mix mixed_values(CounterRng& rng) const {
    const Tensor bypass = bypassed_samples(share_, config_.bypass_share, rng);
    return [this, bypass, &rng](const Tensor& continuous, const Tensor& quantised) {
      return mix_code_values(share_, continuous, quantised, bypass, config_.code_noise, rng);
    };
  }

  // Logits finer than the input are compared with it by their mean.
  Tensor downsampled(const Tensor& logits) const {
    const auto factor = logits.size(2) / config_.grid.resolution;
    return (factor == 1 ? logits : at::avg_pool3d(logits, factor)).squeeze(1);
  }

  static Tensor pooled(const ShapeBatch& batch, const Tensor& slot_logits) {
    const Tensor weights = tokenizers::sample_grid(slot_logits, batch.cell_points).softmax(-1);
    return tokenizers::slot_colours(weights, batch.cell_colours, batch.present);
  }

  // Small parts count for more than their area: a point weighs 1 / sqrt(points of its colour), mean 1 per
  // object.
  static Tensor part_weights(const Tensor& colours) {
    const Tensor same = colours.unsqueeze(1).eq(colours.unsqueeze(2)).all(-1);
    const Tensor weights = same.sum(-1).to(at::kFloat).rsqrt();
    return weights / weights.mean(1, true);
  }

  void add_colour(const ShapeBatch& batch, const Features& features, bool quantise, ShapeLosses& losses) {
    const Tensor slots = network_.slot_logits(features);
    Tensor colours = pooled(batch, slots);
    if (quantise) {
      const auto coded = network_.palette().quantise(colours);
      colours_ = {colours.detach(), coded.indices};
      colours = coded.values;
      losses.total = losses.total + coded.loss;
    }
    const Tensor weights = tokenizers::sample_grid(slots, batch.colour_points).softmax(-1);
    const Tensor error =
        ((at::bmm(weights, colours) - batch.colours).abs().mean(-1) * part_weights(batch.colours)).mean();
    losses.total = losses.total + error;
    losses.measured.push_back(measured_mean(share_, "colour_error", error.item<double>()));
  }

  ShapeTokenizerTrainingConfig config_;
  const BatchShare& share_;
  tokenizers::GridShapeTokenizer tokenizer_;
  tokenizers::GridShapeNetwork& network_;
  at::ScalarType dtype_;
  std::pair<Tensor, Tensor> geometry_, colours_;  // vectors and codes of the last quantised step
};

}  // namespace

std::unique_ptr<ShapeLayoutTraining> make_grid_training(const ShapeTokenizerTrainingConfig& config,
                                                        const BatchShare& share) {
  const auto start = load_start<tokenizers::GridShapeTokenizer>(config.start, "grid");
  return std::make_unique<GridTraining>(config, share, start.get());
}

}  // namespace omni::training
