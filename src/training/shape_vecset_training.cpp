#include <ATen/core/grad_mode.h>

#include "omni/nn/precision.h"
#include "shape_layout_training.h"
#include "shape_start.h"

namespace omni::training {

using at::Tensor;

namespace {

class VecsetTraining : public ShapeLayoutTraining {
 public:
  VecsetTraining(const ShapeTokenizerTrainingConfig& config, const BatchShare& share,
                 const tokenizers::VecsetShapeTokenizer* start)
      : config_(config),
        share_(share),
        tokenizer_(sizes_of(config.vecset, start), static_cast<std::uint64_t>(config.seed)),
        network_(tokenizer_.network()) {
    if (start != nullptr) copy_parameters(start->network().parameters(), network_.parameters());
    // Before anything is frozen: what is saved at the end stays in fp32.
    network_.compute_in(nn::precision_type(config.precision));
    if (config.freeze_geometry)
      network_.parameters().freeze(
          [](const nn::Parameter& p) { return !p.name.starts_with(kColourParameters); });
  }

  tokenizers::ShapeTokenizer& tokenizer() override { return tokenizer_; }
  nn::ParameterStore& parameters() override { return network_.parameters(); }

  ShapeLosses forward(const ShapeBatch& batch, bool quantise, CounterRng& rng) override {
    ShapeLosses losses;
    losses.total = at::zeros({});
    const std::int64_t length = draw_length(rng);
    Tensor latents;
    if (config_.freeze_geometry) {
      const c10::NoGradGuard no_grad;
      const Tensor z = network_.prepared(network_.encode(batch.surface).latents).narrow(1, 0, length);
      const Tensor indices = network_.quantiser().nearest(z);
      latents = network_.decode(network_.quantiser().lookup(indices));
      if (quantise) losses.indices = indices;
    } else {
      latents = geometry(batch, length, quantise, rng, losses);
    }
    if (network_.has_colour()) add_colour(batch, latents, quantise, losses);
    return losses;
  }

  void start_quantisers(const std::vector<ShapeBatch>& batches, CounterRng& rng) override {
    c10::NoGradGuard no_grad;
    std::vector<Tensor> codes, colours;
    for (const auto& batch : batches) {
      const Tensor z = network_.prepared(network_.encode(batch.surface).latents);
      codes.push_back(share_.gather(z.flatten(0, 1)));
      if (network_.has_colour())
        colours.push_back(share_.gather(colour_vectors(batch, network_.decode(z)).flatten(0, 1)));
    }
    if (config_.start.empty()) network_.quantiser().start(at::concat(codes), rng);
    if (network_.has_colour()) network_.colour().quantiser().start(at::concat(colours), rng);
  }

  void learn_codebooks(CounterRng& rng) override {
    if (!config_.freeze_geometry) network_.quantiser().learn(geometry_.first, geometry_.second, rng);
    if (network_.has_colour()) network_.colour().quantiser().learn(colours_.first, colours_.second, rng);
  }

  std::vector<std::pair<std::string, nn::Quantiser*>> quantisers() override {
    std::vector<std::pair<std::string, nn::Quantiser*>> all = {{"geometry", &network_.quantiser()}};
    if (network_.has_colour()) all.emplace_back("colour", &network_.colour().quantiser());
    return all;
  }

 private:
  // The field's losses; returns the decoder's latents.
  Tensor geometry(const ShapeBatch& batch, std::int64_t length, bool quantise, CounterRng& rng,
                  ShapeLosses& losses) {
    // Latents beyond the drawn length are leftovers that nothing reads.
    const Tensor z = network_.prepared(network_.encode(batch.surface).latents).narrow(1, 0, length);
    Tensor values = z;
    if (quantise) {
      const auto coded = network_.quantiser().quantise(z);
      const Tensor bypass = bypassed_samples(share_, config_.bypass_share, rng);
      values = mix_code_values(share_, z, coded.values, bypass, config_.code_noise, rng);
      losses.total = losses.total + coded.loss;
      losses.indices = coded.indices;
      geometry_ = {z.detach(), coded.indices};
    }
    const Tensor latents = network_.decode(values);
    const Tensor logits = network_.field(latents, batch.points);
    const Tensor field = field_loss(config_, logits, batch);
    losses.total = losses.total + field;
    losses.measured = {measured_mean(share_, "field_loss", field.item<double>()),
                       point_iou(logits.narrow(1, config_.near_points, config_.volume_points),
                                 batch.inside.narrow(1, config_.near_points, config_.volume_points))};
    return latents;
  }

  Tensor colour_vectors(const ShapeBatch& batch, const Tensor& latents) const {
    return network_.colour().encode(batch.surface.narrow(-1, 0, 3), batch.surface_colours, latents);
  }

  void add_colour(const ShapeBatch& batch, const Tensor& latents, bool quantise, ShapeLosses& losses) {
    Tensor values = colour_vectors(batch, latents);
    if (quantise) {
      const auto coded = network_.colour().quantiser().quantise(values);
      colours_ = {values.detach(), coded.indices};
      values = coded.values;
      losses.total = losses.total + coded.loss;
    }
    const auto context = network_.colour().context(values, latents);
    const Tensor error =
        (network_.colour().colours(context, batch.colour_points) - batch.colours).abs().mean();
    losses.total = losses.total + error;
    losses.measured.push_back(measured_mean(share_, "colour_error", error.item<double>()));
  }

  std::int64_t draw_length(CounterRng& rng) const {
    const std::vector<std::int64_t>& lengths = network_.lengths();
    if (lengths.size() == 1 || rng.chance(config_.full_length_share)) return lengths.back();
    return lengths[rng.below(lengths.size() - 1)];
  }

  ShapeTokenizerTrainingConfig config_;
  const BatchShare& share_;
  tokenizers::VecsetShapeTokenizer tokenizer_;
  tokenizers::VecsetShapeNetwork& network_;
  std::pair<Tensor, Tensor> geometry_, colours_;  // vectors and codes of the last quantised step
};

}  // namespace

std::unique_ptr<ShapeLayoutTraining> make_vecset_training(const ShapeTokenizerTrainingConfig& config,
                                                          const BatchShare& share) {
  const auto start = load_start<tokenizers::VecsetShapeTokenizer>(config.start, "vecset");
  return std::make_unique<VecsetTraining>(config, share, start.get());
}

}  // namespace omni::training
