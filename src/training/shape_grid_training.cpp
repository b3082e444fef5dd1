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
    Tensor values = z;
    losses.total = at::zeros({});
    if (quantise) {
      const auto coded = network_.quantiser().quantise(z);
      const std::vector<std::int64_t> flat = {z.size(0), -1, z.size(4)};
      values = mix_code_values(z.view(flat), coded.values.view(flat), config_.bypass_share,
                               config_.code_noise, rng)
                   .view(z.sizes());
      losses.total = losses.total + coded.loss;
      losses.indices = coded.indices.flatten(1);
      geometry_ = {z.detach(), coded.indices};
    }
    const auto decoded = network_.decode(values.to(dtype_));
    const Tensor at_points = tokenizers::sample_grid(decoded.logits, batch.points).squeeze(-1);
    const Tensor field = at::binary_cross_entropy_with_logits(at_points, batch.inside);
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
    std::vector<Tensor> codes, colours;
    for (const auto& batch : batches) {
      const Tensor z = network_.encode(batch.occupancy.to(dtype_));
      codes.push_back(z.reshape({-1, z.size(4)}));
      if (network_.has_colour())
        colours.push_back(
            pooled(batch, network_.slot_logits(network_.decode(z.to(dtype_)).features)).reshape({-1, 3}));
    }
    network_.quantiser().start(at::cat(codes), rng);
    if (network_.has_colour()) network_.palette().start(at::cat(colours), rng);
  }

  void learn_codebooks(CounterRng& rng) override {
    network_.quantiser().learn(geometry_.first, geometry_.second, rng);
    if (network_.has_colour()) network_.palette().learn(colours_.first, colours_.second, rng);
  }

 private:
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
  std::pair<Tensor, Tensor> geometry_, colours_;  // vectors and codes of the last quantised step
};

}  // namespace

std::unique_ptr<ShapeLayoutTraining> make_grid_training(const ShapeTokenizerTrainingConfig& config) {
  return std::make_unique<GridTraining>(config);
}

}  // namespace omni::training
