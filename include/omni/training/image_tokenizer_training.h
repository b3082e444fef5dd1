#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "omni/core/config.h"
#include "omni/image/image.h"
#include "omni/kernels/tensor.h"
#include "omni/optimizer/adamw.h"
#include "omni/optimizer/schedule.h"
#include "omni/tokenizers/image_tokenizer.h"
#include "omni/training/rank_settings.h"
#include "omni/training/run_options.h"
#include "omni/training/tokenizer_summary.h"

namespace omni::training {

// How the image tokenizer learns: squared (and absolute) error of the pixels and the commitment loss of
// VQ-VAE (van den Oord et al. 2017, arXiv 1711.00937), with a codebook of moving averages on the unit sphere.
// LlamaGen's perceptual and adversarial losses are left out: they need weights of other networks.
struct ImageTokenizerTrainingConfig {
  tokenizers::ImageTokenizerConfig network;
  std::int64_t seed = 1;
  std::int64_t steps = 4000;
  double minutes = 0;  // above 0: the run ends after that long if not by its steps; schedules follow both
  std::int64_t batch_size = 32;  // of all ranks together
  // Of the run, at its start, without quantising; k-means then places the codes.
  double continuous_share = 0.15;
  double bypass_share = 0.1;  // of each later batch: decoded from unquantised vectors
  double absolute_error_weight = 0;
  double commitment_weight = 0.25;
  double codebook_decay = 0.99;  // of the moving averages, per step
  // A code used less than this share of its fair share moves to where codes are missing.
  double revival_share = 0.02;
  double clip_norm = 1.0;
  std::string precision = "bf16";  // of the activations: fp32, bf16
  double checkpoint_minutes = 10;
  std::int64_t log_steps = 50;
  optimizer::AdamWConfig adamw;
  optimizer::ScheduleConfig schedule;
  std::string weight_precision = "fp32";  // of the saved file: fp32, fp16
  RankSettings ranks;
};
void describe(ConfigVisitor& visitor, ImageTokenizerTrainingConfig& config);

// Images as the network's input size, stacked: uint8 [N, 3, size, size].
at::Tensor stack_images(std::span<const image::Image> images, std::int64_t size);

// Trains and writes the tokenizer's folder `output` (whole or not at all) with metrics.jsonl in it: loss,
// PSNR and use of the codes. `images` is called once the run may start and gives uint8 [N, 3, image_size,
// image_size]; batches are drawn from shuffled passes over them. The result is a function of config and
// images (for one thread count and processor type), however often the run was stopped and resumed. What lies
// beside `output` meanwhile, what several ranks do, and what is thrown: as for train_shape_tokenizer().
TokenizerTrainingSummary train_image_tokenizer(const ImageTokenizerTrainingConfig& config,
                                               const std::function<at::Tensor()>& images,
                                               const std::filesystem::path& output,
                                               const RunOptions& options = {});

struct ImageTokenizerQuality {
  std::int64_t images = 0;
  double psnr_db = 0;  // mean over images, each at the tokenizer's size
  double worst_psnr_db = 0;
  std::int64_t codes_used = 0;  // different codes over all images
  double perplexity = 0;        // 2^entropy of the distribution of codes
};
// Encodes and decodes 8-bit images. If `reconstructions` is given, they are appended to it.
ImageTokenizerQuality evaluate_image_tokenizer(const tokenizers::ImageTokenizer& tokenizer,
                                               std::span<const image::Image> images,
                                               std::vector<image::Image>* reconstructions = nullptr);

}  // namespace omni::training
