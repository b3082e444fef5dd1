#include "shape_layout_training.h"

namespace omni::training {

using at::Tensor;

namespace {

class VecsetTraining : public ShapeLayoutTraining {
 public:
  explicit VecsetTraining(const ShapeTokenizerTrainingConfig& config)
      : config_(config),
        tokenizer_(config.vecset, static_cast<std::uint64_t>(config.seed)),
        network_(tokenizer_.network()) {}

  tokenizers::ShapeTokenizer& tokenizer() override { return tokenizer_; }
  nn::ParameterStore& parameters() override { return network_.parameters(); }

  ShapeLosses forward(const ShapeBatch& batch, bool quantise, CounterRng& rng) override {
    ShapeLosses losses;
    // Latents beyond the drawn length are causal leftovers that nothing reads.
    const Tensor all = network_.prepared(network_.encode(batch.surface).latents);
    const Tensor z = all.narrow(1, 0, draw_length(rng));
    Tensor values = z;
    losses.total = at::zeros({});
    if (quantise) {
      const auto coded = network_.quantiser().quantise(z);
      values = mix_code_values(z, coded.values, config_.bypass_share, config_.code_noise, rng);
      losses.total = losses.total + coded.loss;
      losses.indices = coded.indices;
      last_ = {z.detach(), coded.indices};
    }
    const Tensor logits = network_.field(network_.decode(values), batch.points);
    const Tensor field = at::binary_cross_entropy_with_logits(logits, batch.inside);
    losses.total = losses.total + field;
    losses.measured = {
        {"field_loss", field.item<double>()},
        {"point_iou", point_iou(logits.narrow(1, config_.near_points, config_.volume_points),
                                batch.inside.narrow(1, config_.near_points, config_.volume_points))}};
    return losses;
  }

  void start_quantisers(const std::vector<ShapeBatch>& batches, CounterRng& rng) override {
    c10::NoGradGuard no_grad;
    std::vector<Tensor> codes;
    for (const auto& batch : batches)
      codes.push_back(network_.prepared(network_.encode(batch.surface).latents).flatten(0, 1));
    network_.quantiser().start(at::cat(codes), rng);
  }

  void learn_codebooks(CounterRng& rng) override {
    network_.quantiser().learn(last_.first, last_.second, rng);
  }

 private:
  // The full length for half of the steps, else one of the shorter ones.
  std::int64_t draw_length(CounterRng& rng) const {
    const std::vector<std::int64_t>& lengths = network_.lengths();
    if (lengths.size() == 1 || rng.chance(0.5)) return lengths.back();
    return lengths[rng.below(lengths.size() - 1)];
  }

  ShapeTokenizerTrainingConfig config_;
  tokenizers::VecsetShapeTokenizer tokenizer_;
  tokenizers::VecsetShapeNetwork& network_;
  std::pair<Tensor, Tensor> last_;
};

}  // namespace

std::unique_ptr<ShapeLayoutTraining> make_vecset_training(const ShapeTokenizerTrainingConfig& config) {
  return std::make_unique<VecsetTraining>(config);
}

}  // namespace omni::training
