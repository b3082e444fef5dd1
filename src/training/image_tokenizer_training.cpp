#include "omni/training/image_tokenizer_training.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "agreement.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/core/shuffle.h"
#include "omni/core/text_format.h"
#include "omni/nn/precision.h"
#include "omni/nn/quantisers.h"
#include "omni/tokenizers/code_use.h"
#include "omni/tokenizers/image_network.h"
#include "rank_start.h"
#include "tokenizer_rank.h"
#include "tokenizer_run.h"

namespace omni::training {

using at::Tensor;
using tokenizers::ImageNetwork;
using tokenizers::ImageTokenizer;

namespace {

// k-means sees this many vectors for each code.
constexpr std::int64_t rows_per_code = 40;

// Shuffled passes over the images: batch n is a function of (seed, n) alone.
class BatchOrder {
 public:
  BatchOrder(std::int64_t images, std::int64_t batch_size, std::uint64_t seed)
      : order_(images), batch_size_(batch_size), seed_(seed) {}

  Tensor next() {
    Tensor batch = at::empty({batch_size_}, at::kLong);
    for (std::int64_t i = 0; i < batch_size_; ++i, ++drawn_) {
      if (drawn_ % order_.size() == 0) begin_pass();
      batch.mutable_data_ptr<std::int64_t>()[i] = order_[drawn_ % order_.size()];
    }
    return batch;
  }
  std::uint64_t drawn() const { return drawn_; }  // images so far
  void move_to(std::uint64_t drawn) {
    drawn_ = drawn;
    begin_pass();
  }

 private:
  // The pass that the next image is of.
  void begin_pass() {
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
    CounterRng rng(seed_, hash_combine(hash_string("image batches"), drawn_ / order_.size()));
    shuffle(std::span(order_), rng);
  }
  std::vector<std::int64_t> order_;
  std::int64_t batch_size_;
  std::uint64_t seed_, drawn_ = 0;
};

nn::QuantiserConfig learning_config(const ImageTokenizerTrainingConfig& config) {
  nn::QuantiserConfig quantiser = tokenizers::quantiser_config(config.network);
  quantiser.decay = config.codebook_decay;
  quantiser.revival_share = config.revival_share;
  return quantiser;
}

class ImageLearner : public TokenizerLearner {
 public:
  // `share` must outlive it.
  ImageLearner(const ImageTokenizerTrainingConfig& config, Tensor images, const BatchShare& share,
               at::Device device)
      : config_(config),
        share_(share),
        device_(device),
        images_(std::move(images)),
        tokenizer_(config.network, static_cast<std::uint64_t>(config.seed)),
        network_(tokenizer_.network()),
        dtype_(nn::precision_type(config.precision)),
        codebook_(network_.embedding, learning_config(config)),
        order_(images_.size(0), config.batch_size, static_cast<std::uint64_t>(config.seed)),
        rng_(static_cast<std::uint64_t>(config.seed), hash_string("image tokenizer training")) {}

  nn::ParameterStore& parameters() override { return network_.parameters; }
  std::vector<std::pair<std::string, nn::Quantiser*>> quantisers() override {
    return {{"codes", &codebook_}};
  }

  void begin_step(std::int64_t step) override {
    if (step == 0) prepare_network();
  }

  void start_quantisers() override {
    const c10::NoGradGuard no_grad;
    const std::int64_t wanted = rows_per_code * network_.config.codebook_size;
    std::vector<Tensor> rows;
    for (std::int64_t count = 0; count < wanted; count += rows.back().size(0)) {
      rows.push_back(
          share_.gather(rows_of(ImageNetwork::normalise(network_.encode(next_pixels().to(dtype_))))));
    }
    codebook_.start(at::concat(rows), rng_);
  }

  Tensor loss(bool quantised) override {
    const Tensor pixels = next_pixels();
    vectors_ = ImageNetwork::normalise(network_.encode(pixels.to(dtype_)));
    Tensor decoded_from = vectors_, loss;
    if (quantised) {
      indices_ = network_.nearest(vectors_.detach());
      const Tensor codes = network_.lookup(indices_).detach();
      decoded_from = quantise(vectors_, codes);
      loss = config_.commitment_weight * at::mse_loss(vectors_, codes);
    }
    const Tensor decoded = network_.decode(decoded_from.to(dtype_)).to(at::kFloat);
    const Tensor squared_error = at::mse_loss(decoded, pixels);
    loss = loss.defined() ? loss + squared_error : squared_error;
    if (config_.absolute_error_weight > 0)
      loss = loss + config_.absolute_error_weight * at::l1_loss(decoded, pixels);
    squared_error_ += share_.weight() * squared_error.item<double>();
    loss_ += share_.weight() * loss.item<double>();
    ++summed_;
    return loss;
  }

  void learn_codebooks() override {
    codebook_.learn(rows_of(vectors_), indices_, rng_);
    use_.add(indices_);
  }

  Figures take_figures(std::int64_t steps_done) override {
    std::vector<double> sums = {squared_error_, loss_};
    share_.sum(sums, device_);
    share_.sum(use_, network_.config.codebook_size, device_);
    const double psnr = psnr_db(sums[0] / double(summed_));
    Figures figures;
    figures.numbers = {
        {"images", double(steps_done * config_.batch_size)},
        {"loss", sums[1] / double(summed_)},
        {"psnr_db", psnr},
        {"code_perplexity", use_.perplexity()},
        {"codes_used", double(use_.used()) / double(network_.config.codebook_size)},
    };
    figures.note = concat("PSNR ", std::round(psnr * 100) / 100, " dB",
                          indices_.defined() ? "" : " (not quantised yet)");
    squared_error_ = loss_ = 0;
    summed_ = 0;
    use_.clear();
    return figures;
  }

  std::map<std::string, std::uint64_t> position() const override {
    return {{"images", order_.drawn()}, {"random", rng_.position()}};
  }
  void move_to(const std::map<std::string, std::uint64_t>& position) override {
    order_.move_to(position.at("images"));
    rng_.move_to(position.at("random"));
  }

  void save(const std::filesystem::path& folder) const override {
    using Precision = ImageTokenizer::WeightPrecision;
    tokenizer_.save(folder, config_.weight_precision == "fp16" ? Precision::fp16 : Precision::fp32);
  }

 private:
  // Pixels span 2, so the peak's square is 4.
  static double psnr_db(double squared_error) {
    return 10 * std::log10(4.0 / std::max(squared_error, 1e-12));
  }

  Tensor pixels_of(const Tensor& indices) const {
    const Tensor bytes = images_.index_select(0, indices);
    return bytes.to(device_).to(at::kFloat).mul_(2.0 / 255.0).sub_(1.0);
  }
  Tensor next_pixels() { return pixels_of(share_.own(order_.next())); }  // of this rank's images

  static Tensor rows_of(const Tensor& vectors) {
    return vectors.detach().permute({0, 2, 3, 1}).reshape({-1, vectors.size(1)});
  }

  // A fresh network gives nearly the same vector everywhere and grey pixels, and learns to ignore the codes
  // before it learns to use them. So its convolutions start at unit gain, each coordinate of the vectors with
  // mean 0 and standard deviation 1 on a first batch, and the decoder with that batch's mean colour.
  void prepare_network() {
    const c10::NoGradGuard no_grad;
    for (const nn::Parameter& parameter : network_.parameters.all()) {
      const bool is_last = parameter.name == "decoder.conv_out.weight";
      if (parameter.value.dim() == 4 && !is_last)
        parameter.value.mul_(std::sqrt(3.0));  // from PyTorch's 1/3 variance
    }
    const Tensor batch = order_.next();
    const Tensor rows = share_.gather(rows_of(network_.encode(pixels_of(share_.own(batch)))));
    const Tensor mean = rows.mean(0), standard_deviation = rows.std(0).clamp_min(1e-6);
    network_.parameters.find("quant_conv.weight")->value.div_(standard_deviation.view({-1, 1, 1, 1}));
    network_.parameters.find("quant_conv.bias")->value.sub_(mean).div_(standard_deviation);
    network_.parameters.find("decoder.conv_out.bias")->value.copy_(pixels_of(batch).mean({0, 2, 3}));
  }

  // Codes in place of vectors, with gradients passed straight through, but for the samples that bypass.
  Tensor quantise(const Tensor& vectors, const Tensor& codes) {
    const Tensor bypass = at::zeros({share_.batch(), 1, 1, 1});
    for (std::int64_t i = 0; i < bypass.size(0); ++i) {
      if (rng_.chance(config_.bypass_share)) bypass[i] = 1;
    }
    return vectors + (codes - vectors).detach() * (1 - share_.own(bypass).to(device_));
  }

  ImageTokenizerTrainingConfig config_;
  const BatchShare& share_;
  at::Device device_;
  Tensor images_;  // all, on the processor
  ImageTokenizer tokenizer_;
  ImageNetwork& network_;
  at::ScalarType dtype_;
  nn::VectorQuantiser codebook_;
  BatchOrder order_;
  CounterRng rng_;
  Tensor vectors_, indices_;  // of the last step; indices once codes are quantised
  // Summed since the last figures, over this many steps: this rank's parts of the batches' means.
  double squared_error_ = 0, loss_ = 0;
  std::int64_t summed_ = 0;
  tokenizers::CodeUse use_;
};

ChangeRules change_rules() {
  return {.free = {"steps", "minutes", "checkpoint_minutes", "log_steps", "weight_precision", "device",
                   "timeouts"},
          .fixed = {}};
}

// A signal breaks it off on some ranks and finds others done with it: all end in the same way.
Tensor made_on_all_ranks(const std::function<Tensor()>& make_images, distributed::Collectives& collectives,
                         at::Device device) {
  if (collectives.size() == 1) return make_images();
  Tensor images;
  StepHeader header;
  try {
    images = make_images();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::interrupted) throw;
    header.note_signal();
  }
  Agreement agreement(collectives, device);
  agreement.send(header);
  const StepHeader agreed = agreement.receive();
  if (agreed.ends()) fail(agreed.end_kind(), "stopped while the pictures were made, before the first step");
  return images;
}

std::uint64_t fingerprint(const Tensor& images) {
  const Tensor bytes = images.contiguous();
  return hash_string({static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()});
}

}  // namespace

void describe(ConfigVisitor& visitor, ImageTokenizerTrainingConfig& config) {
  visitor.section("network", [&](ConfigVisitor& section) { describe(section, config.network); });
  visitor.integer("seed", config.seed, {.minimum = 0});
  visitor.integer("steps", config.steps, {.minimum = 1});
  visitor.number("minutes", config.minutes, {.minimum = 0});
  visitor.integer("batch_size", config.batch_size, {.minimum = 1, .maximum = 65536});
  visitor.number("continuous_share", config.continuous_share, {.minimum = 0, .maximum = 1});
  visitor.number("bypass_share", config.bypass_share, {.minimum = 0, .maximum = 1});
  visitor.number("absolute_error_weight", config.absolute_error_weight, {.minimum = 0});
  visitor.number("commitment_weight", config.commitment_weight, {.minimum = 0});
  visitor.number("codebook_decay", config.codebook_decay, {.minimum = 0, .maximum = 0.99999});
  visitor.number("revival_share", config.revival_share, {.minimum = 0, .maximum = 1});
  visitor.number("clip_norm", config.clip_norm, {.minimum = 1e-6});
  visitor.choice("precision", config.precision, {"fp32", "bf16"});
  visitor.number("checkpoint_minutes", config.checkpoint_minutes, {.minimum = 0.01});
  visitor.integer("log_steps", config.log_steps, {.minimum = 1});
  visitor.section("adamw", [&](ConfigVisitor& section) { describe(section, config.adamw); });
  visitor.section("schedule", [&](ConfigVisitor& section) { describe(section, config.schedule); });
  visitor.choice("weight_precision", config.weight_precision, {"fp32", "fp16"});
  describe(visitor, config.ranks);
}

Tensor stack_images(std::span<const image::Image> images, std::int64_t size) {
  Tensor stacked = at::empty({static_cast<std::int64_t>(images.size()), 3, size, size}, at::kByte);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const Tensor pixels = tokenizers::image_to_pixels(images[i], size);
    stacked[static_cast<std::int64_t>(i)].copy_(((pixels + 1) * 127.5).round());
  }
  return stacked;
}

TokenizerTrainingSummary train_image_tokenizer(const ImageTokenizerTrainingConfig& config,
                                               const std::function<Tensor()>& make_images,
                                               const std::filesystem::path& output,
                                               const RunOptions& options) {
  check(config.network);
  TokenizerTrainingSummary summary;
  run_on_ranks(config.ranks, [&](distributed::Ranks& ranks, at::Device device) {
    summary = train_image_tokenizer_on_rank(config, make_images, output, options, ranks, device);
  });
  return summary;
}

TokenizerTrainingSummary train_image_tokenizer_on_rank(const ImageTokenizerTrainingConfig& config,
                                                       const std::function<Tensor()>& make_images,
                                                       const std::filesystem::path& output,
                                                       const RunOptions& options, distributed::Ranks& ranks,
                                                       at::Device device) {
  TokenizerRun run("image tokenizer", output, options, ranks, device);
  const BatchShare share("batch_size", config.batch_size, ranks.collectives());
  const Tensor images = made_on_all_ranks(make_images, ranks.collectives(), device);
  ensure(
      images.dim() == 4 && images.scalar_type() == at::kByte && images.size(2) == config.network.image_size,
      "training images must be uint8 [N, 3, image_size, image_size]");
  if (images.size(0) < 1) {
    fail(ErrorKind::usage, "cannot train an image tokenizer: there are no images. Give it some");
  }
  TokenizerRunSettings settings = run_settings(config, change_rules());
  settings.record.inputs = {{"data", hexadecimal(fingerprint(images))}};
  ImageLearner learner(config, images, share, device);
  return run.train(settings, share, learner);
}

ImageTokenizerQuality evaluate_image_tokenizer(const ImageTokenizer& tokenizer,
                                               std::span<const image::Image> images,
                                               std::vector<image::Image>* reconstructions) {
  ImageTokenizerQuality quality;
  quality.images = static_cast<std::int64_t>(images.size());
  if (images.empty()) return quality;
  const auto codes = tokenizer.encode(images);
  const auto decoded = tokenizer.decode(codes);
  tokenizers::CodeUse use;
  quality.worst_psnr_db = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < images.size(); ++i) {
    const image::Image original =
        tokenizers::pixels_to_image(tokenizers::image_to_pixels(images[i], tokenizer.config().image_size));
    // A perfect image would make the mean infinite; 8-bit rounding alone leaves 59 dB.
    const double psnr = std::min(image::psnr_db(original, decoded[i]), 60.0);
    quality.psnr_db += psnr / double(images.size());
    quality.worst_psnr_db = std::min(quality.worst_psnr_db, psnr);
    use.add(codes[i]);
  }
  quality.codes_used = use.used();
  quality.perplexity = use.perplexity();
  if (reconstructions) reconstructions->insert(reconstructions->end(), decoded.begin(), decoded.end());
  return quality;
}

}  // namespace omni::training
