#include "omni/training/image_tokenizer_training.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>

#include "image_codebook.h"
#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/core/perplexity.h"
#include "omni/core/progress.h"
#include "omni/core/random.h"
#include "omni/core/run_metrics.h"
#include "omni/core/shuffle.h"
#include "omni/nn/precision.h"
#include "omni/tokenizers/image_network.h"

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
    for (std::int64_t i = 0; i < batch_size_; ++i) {
      if (at_ == 0) begin_pass();
      batch.mutable_data_ptr<std::int64_t>()[i] = order_[at_];
      at_ = (at_ + 1) % static_cast<std::int64_t>(order_.size());
    }
    return batch;
  }

 private:
  void begin_pass() {
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
    CounterRng rng(seed_, hash_combine(hash_string("image batches"), pass_++));
    shuffle(std::span(order_), rng);
  }
  std::vector<std::int64_t> order_;
  std::int64_t batch_size_, at_ = 0;
  std::uint64_t seed_, pass_ = 0;
};

struct StepResult {
  double loss = 0, squared_error = 0;
};

class Trainer {
 public:
  Trainer(const ImageTokenizerTrainingConfig& config, const Tensor& images, ImageNetwork& network)
      : config_(config),
        images_(images),
        network_(network),
        dtype_(nn::precision_type(config.precision)),
        optimizer_(network.parameters, config.adamw),
        codebook_(network.embedding, config.codebook_decay, config.revival_share),
        order_(images.size(0), config.batch_size, static_cast<std::uint64_t>(config.seed)),
        rng_(static_cast<std::uint64_t>(config.seed), hash_string("image tokenizer training")) {}

  void run(RunMetrics* metrics) {
    Progress progress("image tokenizer", config_.steps, "steps");
    const auto continuous_steps = static_cast<std::int64_t>(config_.continuous_share * double(config_.steps));
    const auto start = std::chrono::steady_clock::now();
    double squared_error = 0, loss = 0;
    std::int64_t summed = 0;
    for (std::int64_t step = 0; step < config_.steps; ++step) {
      throw_if_interrupted();
      if (step == 0) prepare_network();
      const bool quantised = step >= continuous_steps;
      if (step == continuous_steps) start_codebook();
      const StepResult result =
          one_step(quantised, learning_rate_at(config_.schedule, double(step) / double(config_.steps)));
      squared_error += result.squared_error;
      loss += result.loss;
      ++summed;
      progress.advance();
      if ((step + 1) % config_.log_steps != 0 && step + 1 != config_.steps) continue;
      const double psnr = psnr_db(squared_error / double(summed));
      progress.set_note(
          concat("PSNR ", std::round(psnr * 100) / 100, " dB", quantised ? "" : " (not quantised yet)"));
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
      if (metrics) write(*metrics, step + 1, loss / double(summed), psnr, elapsed.count());
      squared_error = loss = 0;
      summed = 0;
    }
  }

 private:
  // Pixels span 2, so the peak's square is 4.
  static double psnr_db(double squared_error) {
    return 10 * std::log10(4.0 / std::max(squared_error, 1e-12));
  }

  void write(RunMetrics& metrics, std::int64_t step, double loss, double psnr, double seconds) const {
    metrics.write(
        {{"step", double(step)},
         {"images", double(step * config_.batch_size)},
         {"seconds", seconds},
         {"loss", loss},
         {"psnr_db", psnr},
         {"code_perplexity", codebook_.perplexity()},
         {"codes_used_share", codebook_.used_share()},
         {"codes_revived", double(codebook_.revived())},
         {"learning_rate", learning_rate_at(config_.schedule, double(step) / double(config_.steps))}});
  }

  Tensor next_pixels() {
    const Tensor bytes = images_.index_select(0, order_.next());
    return bytes.to(at::kFloat).mul_(2.0 / 255.0).sub_(1.0);
  }

  static Tensor rows_of(const Tensor& vectors) {
    return vectors.detach().permute({0, 2, 3, 1}).reshape({-1, vectors.size(1)});
  }

  // A fresh network gives nearly the same vector everywhere and grey pixels, and learns to ignore the codes
  // before it learns to use them. So its convolutions start at unit gain, each coordinate of the vectors with
  // mean 0 and deviation 1 on a first batch, and the decoder with that batch's mean colour.
  void prepare_network() {
    const c10::NoGradGuard no_grad;
    for (const nn::Parameter& parameter : network_.parameters.all()) {
      const bool is_last = parameter.name == "decoder.conv_out.weight";
      if (parameter.value.dim() == 4 && !is_last)
        parameter.value.mul_(std::sqrt(3.0));  // from PyTorch's 1/3 variance
    }
    const Tensor pixels = next_pixels();
    const Tensor rows = rows_of(network_.encode(pixels));
    const Tensor mean = rows.mean(0), deviation = rows.std(0).clamp_min(1e-6);
    network_.parameters.find("quant_conv.weight")->value.div_(deviation.view({-1, 1, 1, 1}));
    network_.parameters.find("quant_conv.bias")->value.sub_(mean).div_(deviation);
    network_.parameters.find("decoder.conv_out.bias")->value.copy_(pixels.mean({0, 2, 3}));
  }

  void start_codebook() {
    const c10::NoGradGuard no_grad;
    const std::int64_t wanted = rows_per_code * network_.config.codebook_size;
    std::vector<Tensor> rows;
    for (std::int64_t count = 0; count < wanted; count += rows.back().size(0)) {
      rows.push_back(rows_of(ImageNetwork::normalise(network_.encode(next_pixels().to(dtype_)))));
    }
    codebook_.start(at::cat(rows), rng_);
  }

  // Codes in place of vectors, with gradients passed straight through, but for the samples that bypass.
  Tensor quantise(const Tensor& vectors, const Tensor& codes) {
    Tensor bypass = at::zeros({vectors.size(0), 1, 1, 1});
    for (std::int64_t i = 0; i < bypass.size(0); ++i) {
      if (rng_.chance(config_.bypass_share)) bypass[i] = 1;
    }
    return vectors + (codes - vectors).detach() * (1 - bypass);
  }

  StepResult one_step(bool quantised, double learning_rate) {
    const Tensor pixels = next_pixels();
    const Tensor vectors = ImageNetwork::normalise(network_.encode(pixels.to(dtype_)));
    Tensor decoded_from = vectors, indices, loss;
    if (quantised) {
      indices = network_.nearest(vectors.detach());
      const Tensor codes = network_.lookup(indices).detach();
      decoded_from = quantise(vectors, codes);
      loss = config_.commitment_weight * at::mse_loss(vectors, codes);
    }
    const Tensor decoded = network_.decode(decoded_from.to(dtype_)).to(at::kFloat);
    const Tensor squared_error = at::mse_loss(decoded, pixels);
    loss = loss.defined() ? loss + squared_error : squared_error;
    if (config_.absolute_error_weight > 0)
      loss = loss + config_.absolute_error_weight * at::l1_loss(decoded, pixels);
    loss.backward();
    const double norm = optimizer::clip_gradients(network_.parameters, config_.clip_norm);
    if (std::isfinite(norm)) optimizer_.step(learning_rate);
    optimizer_.zero_gradients();
    if (quantised) codebook_.learn(rows_of(vectors), indices.flatten(), rng_);
    return {loss.item<double>(), squared_error.item<double>()};
  }

  const ImageTokenizerTrainingConfig& config_;
  const Tensor images_;
  ImageNetwork& network_;
  at::ScalarType dtype_;
  optimizer::AdamW optimizer_;
  ImageCodebook codebook_;
  BatchOrder order_;
  CounterRng rng_;
};

}  // namespace

void describe(ConfigVisitor& visitor, ImageTokenizerTrainingConfig& config) {
  visitor.section("network", [&](ConfigVisitor& section) { describe(section, config.network); });
  visitor.integer("seed", config.seed, {.minimum = 0});
  visitor.integer("steps", config.steps, {.minimum = 1});
  visitor.integer("batch_size", config.batch_size, {.minimum = 1, .maximum = 65536});
  visitor.number("continuous_share", config.continuous_share, {.minimum = 0, .maximum = 1});
  visitor.number("bypass_share", config.bypass_share, {.minimum = 0, .maximum = 1});
  visitor.number("absolute_error_weight", config.absolute_error_weight, {.minimum = 0});
  visitor.number("commitment_weight", config.commitment_weight, {.minimum = 0});
  visitor.number("codebook_decay", config.codebook_decay, {.minimum = 0, .maximum = 0.99999});
  visitor.number("revival_share", config.revival_share, {.minimum = 0, .maximum = 1});
  visitor.number("clip_norm", config.clip_norm, {.minimum = 1e-6});
  visitor.choice("precision", config.precision, {"fp32", "bf16"});
  visitor.integer("log_steps", config.log_steps, {.minimum = 1});
  visitor.section("adamw", [&](ConfigVisitor& section) { describe(section, config.adamw); });
  visitor.section("schedule", [&](ConfigVisitor& section) { describe(section, config.schedule); });
}

Tensor stack_images(std::span<const image::Image> images, std::int64_t size) {
  Tensor stacked = at::empty({static_cast<std::int64_t>(images.size()), 3, size, size}, at::kByte);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const Tensor pixels = tokenizers::image_to_pixels(images[i], size);
    stacked[static_cast<std::int64_t>(i)].copy_(((pixels + 1) * 127.5).round());
  }
  return stacked;
}

std::unique_ptr<ImageTokenizer> train_image_tokenizer(const ImageTokenizerTrainingConfig& config,
                                                      const Tensor& images,
                                                      const std::filesystem::path& metrics) {
  ensure(
      images.dim() == 4 && images.scalar_type() == at::kByte && images.size(2) == config.network.image_size,
      "training images must be uint8 [N, 3, image_size, image_size]");
  if (images.size(0) < 1) {
    fail(ErrorKind::usage, "cannot train an image tokenizer: there are no images. Give it some");
  }
  auto tokenizer = std::make_unique<ImageTokenizer>(config.network, static_cast<std::uint64_t>(config.seed));
  std::optional<RunMetrics> log;
  if (!metrics.empty()) log.emplace(metrics);
  Trainer(config, images, tokenizer->network()).run(log ? &*log : nullptr);
  tokenizer->network().parameters.set_trainable(false);
  return tokenizer;
}

ImageTokenizerQuality evaluate_image_tokenizer(const ImageTokenizer& tokenizer,
                                               std::span<const image::Image> images,
                                               std::vector<image::Image>* reconstructions) {
  ImageTokenizerQuality quality;
  quality.images = static_cast<std::int64_t>(images.size());
  if (images.empty()) return quality;
  const auto codes = tokenizer.encode(images);
  const auto decoded = tokenizer.decode(codes);
  std::vector<double> counts(tokenizer.config().codebook_size);
  quality.worst_psnr_db = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < images.size(); ++i) {
    const image::Image original =
        tokenizers::pixels_to_image(tokenizers::image_to_pixels(images[i], tokenizer.config().image_size));
    // A perfect image would make the mean infinite; 8-bit rounding alone leaves 59 dB.
    const double psnr = std::min(image::psnr_db(original, decoded[i]), 60.0);
    quality.psnr_db += psnr / double(images.size());
    quality.worst_psnr_db = std::min(quality.worst_psnr_db, psnr);
    for (const std::int32_t code : codes[i]) counts[code] += 1;
  }
  quality.codes_used = std::count_if(counts.begin(), counts.end(), [](double count) { return count > 0; });
  quality.perplexity = perplexity(counts);
  if (reconstructions) reconstructions->insert(reconstructions->end(), decoded.begin(), decoded.end());
  return quality;
}

}  // namespace omni::training
