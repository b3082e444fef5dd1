#include "shape_layout_training.h"

namespace omni::training {

using at::Tensor;

Tensor mix_code_values(const Tensor& continuous, const Tensor& quantised, double bypass_share,
                       double noise_share, CounterRng& rng) {
  const auto batch = continuous.size(0), codes = continuous.size(1);
  Tensor bypass = at::zeros({batch, 1, 1}, at::kBool);
  Tensor replaced = at::zeros({batch, codes, 1}, at::kBool);
  auto* bypassed = bypass.data_ptr<bool>();
  for (std::int64_t i = 0; i < batch; ++i) bypassed[i] = rng.chance(bypass_share);
  auto* wrong = replaced.data_ptr<bool>();
  for (std::int64_t i = 0; i < batch * codes; ++i) wrong[i] = noise_share > 0 && rng.chance(noise_share);
  const Tensor others = quantised.detach().roll({1}, {0});
  return at::where(bypass, continuous, at::where(replaced, others, quantised));
}

Tensor field_loss(const ShapeTokenizerTrainingConfig& config, const Tensor& values, const ShapeBatch& batch) {
  if (config.field_loss == "occupancy") return at::binary_cross_entropy_with_logits(values, batch.inside);
  const Tensor target = (batch.distances / config.truncation).clamp(-1, 1);
  return (at::tanh(values) - target).abs().mean();
}

double point_iou(const Tensor& logits, const Tensor& inside) {
  c10::NoGradGuard no_grad;
  const Tensor predicted = logits.gt(0), truth = inside.gt(0.5);
  const double both = predicted.logical_and(truth).sum().item<double>();
  const double either = predicted.logical_or(truth).sum().item<double>();
  return either > 0 ? both / either : 1.0;
}

namespace {

class GridTraining : public ShapeLayoutTraining {
 public:
  explicit GridTraining(const ShapeTokenizerTrainingConfig& config)
      : config_(config),
        tokenizer_(config.grid, static_cast<std::uint64_t>(config.seed)),
        network_(tokenizer_.network()),
        dtype_(config.precision == "bf16" ? at::kBFloat16 : at::kFloat) {}

  tokenizers::ShapeTokenizer& tokenizer() override { return tokenizer_; }
  nn::ParameterStore& parameters() override { return network_.parameters(); }

  ShapeLosses forward(const ShapeBatch& batch, bool quantise, CounterRng& rng) override {
    ShapeLosses losses;
    const Tensor z = network_.encode(batch.occupancy.to(dtype_));
    const Tensor levels = draw_levels(z.size(0), rng);
    Tensor values = network_.codes().continuous(z, levels);
    losses.total = at::zeros({});
    if (quantise) {
      coded_ = network_.codes().quantise(z, levels);
      const std::vector<std::int64_t> flat = {z.size(0), -1, z.size(4)};
      values = mix_code_values(values.view(flat), coded_.values.view(flat), config_.bypass_share,
                               config_.code_noise, rng)
                   .view(z.sizes());
      losses.total = losses.total + coded_.loss;
      losses.indices = coded_.indices;
    }
    const auto decoded = network_.decode(values.to(dtype_), levels);
    const Tensor at_points = tokenizers::sample_grid(decoded.logits, batch.points).squeeze(-1);
    const Tensor field = field_loss(config_, at_points, batch);
    const Tensor cells = at::binary_cross_entropy_with_logits(downsampled(decoded.logits), batch.occupancy);
    losses.total = losses.total + field + config_.grid_loss_weight * cells;
    losses.measured = {
        {"field_loss", field.item<double>()},
        {"cell_loss", cells.item<double>()},
        {"point_iou", point_iou(at_points.narrow(1, config_.near_points, config_.volume_points),
                                batch.inside.narrow(1, config_.near_points, config_.volume_points))}};
    if (network_.has_colour()) add_colour(batch, decoded.features.detached(), quantise, losses);
    return losses;
  }

  void start_quantisers(const std::vector<ShapeBatch>& batches, CounterRng& rng) override {
    c10::NoGradGuard no_grad;
    std::vector<Tensor> vectors, colours;
    for (const auto& batch : batches) {
      const Tensor z = network_.encode(batch.occupancy.to(dtype_));
      vectors.push_back(z);
      if (!network_.has_colour()) continue;
      const auto features = network_.decode(z.to(dtype_), network_.all_levels(z.size(0))).features;
      colours.push_back(pooled(batch, network_.slot_logits(features)).reshape({-1, 3}));
    }
    network_.codes().start(at::cat(vectors), rng);
    if (network_.has_colour()) network_.palette().start(at::cat(colours), rng);
  }

  void learn_codebooks(CounterRng& rng) override {
    network_.codes().learn(coded_, rng);
    coded_ = {};
    if (network_.has_colour()) network_.palette().learn(colours_.first, colours_.second, rng);
  }

  std::vector<std::pair<std::string, nn::Quantiser*>> quantisers() override {
    std::vector<std::pair<std::string, nn::Quantiser*>> all = {{"geometry", &network_.codes().quantiser()}};
    if (network_.has_colour()) all.emplace_back("colour", &network_.palette());
    return all;
  }

 private:
  // How many levels count, for each sample: all of them for half, else one of the shorter prefixes.
  Tensor draw_levels(std::int64_t batch, CounterRng& rng) const {
    Tensor levels = network_.all_levels(batch);
    const auto count = static_cast<std::uint64_t>(network_.codes().level_count());
    if (count == 1) return levels;
    for (std::int64_t i = 0; i < batch; ++i)
      if (rng.chance(0.5)) levels[i] = static_cast<std::int64_t>(1 + rng.below(count - 1));
    return levels;
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

  void add_colour(const ShapeBatch& batch, const tokenizers::GridShapeNetwork::Features& features,
                  bool quantise, ShapeLosses& losses) {
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
    losses.measured.emplace_back("colour_error", error.item<double>());
  }

  ShapeTokenizerTrainingConfig config_;
  tokenizers::GridShapeTokenizer tokenizer_;
  tokenizers::GridShapeNetwork& network_;
  at::ScalarType dtype_;
  tokenizers::GridCodes::Coded coded_;  // of this quantised step
  std::pair<Tensor, Tensor> colours_;   // vectors and codes of that step
};

}  // namespace

std::unique_ptr<ShapeLayoutTraining> make_grid_training(const ShapeTokenizerTrainingConfig& config) {
  return std::make_unique<GridTraining>(config);
}

}  // namespace omni::training
