#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "omni/core/config.h"
#include "omni/image/image.h"
#include "omni/kernels/tensor.h"
#include "omni/nn/parameters.h"
#include "omni/tokenizers/stored_tokenizer.h"

namespace omni::tokenizers {

// LlamaGen's VQ autoencoder (Sun et al. 2024, arXiv 2406.06525). Its own sizes: channels 128, z_channels 256,
// multipliers {1, 1, 2, 2, 4} (16 x) or {1, 2, 2, 4} (8 x), two residual blocks a level, 32 groups, codebook
// 16,384 x 8.
struct ImageTokenizerConfig {
  std::int64_t image_size = 64;  // pixels a side
  std::int64_t channels = 32;    // at multiplier 1
  // One per level, each level at half the resolution of the one before.
  std::vector<std::int64_t> channel_multipliers = {1, 1, 2, 2};
  std::vector<std::int64_t> res_blocks = {2, 2, 2, 2};  // per level in the encoder; the decoder has one more
  bool attention = true;                                // at the lowest resolution
  std::int64_t norm_groups = 32;  // of group norm; lowered to a divisor of the channels where they are fewer
  std::int64_t z_channels = 64;
  std::int64_t codebook_size = 1024;
  std::int64_t codebook_dim = 8;
};
void describe(ConfigVisitor& visitor, ImageTokenizerConfig& config);
void check(const ImageTokenizerConfig& config);  // throws Error(usage) for sizes that do not fit together

struct ImageNetwork;  // omni/tokenizers/image_network.h

class ImageTokenizer {
 public:
  explicit ImageTokenizer(const ImageTokenizerConfig& config, nn::ParameterStart start = {});
  ~ImageTokenizer();
  ImageTokenizer(const ImageTokenizer&) = delete;
  ImageTokenizer& operator=(const ImageTokenizer&) = delete;
  // A folder with config.yaml and weights.safetensors. Throws Error(io), Error(input), or Error(usage) for
  // its config.
  static std::unique_ptr<ImageTokenizer> load(const std::filesystem::path& folder);
  // A public checkpoint in LlamaGen's layout, as .pt or .safetensors; its sizes are read from the tensors'
  // shapes. image_size: pixels a side, 0 for the 256 that it was trained with. Throws Error(io) or
  // Error(input).
  static std::unique_ptr<ImageTokenizer> import_llamagen(const std::filesystem::path& path,
                                                         std::int64_t image_size = 0);
  // Weights in fp16 take half the space and are widened when they are loaded.
  enum class WeightPrecision { fp32, fp16 };
  // Atomic. Without a precision the weights are written as they were loaded (fp32 for a fresh network), byte
  // for byte: the copy in a bundle is the same tokenizer.
  void save(const std::filesystem::path& folder) const { save(folder, precision_); }
  void save(const std::filesystem::path& folder, WeightPrecision precision) const;
  // What save() writes.
  StoredTokenizer stored() const { return stored(precision_); }
  StoredTokenizer stored(WeightPrecision precision) const;

  const ImageTokenizerConfig& config() const;
  std::int64_t grid_size() const;   // codes per side: image_size / 2^(levels - 1)
  std::int64_t code_count() const;  // grid_size^2

  // Images of any size and channel count: alpha goes over white, the centre square is resized to image_size.
  // Codes run row by row from the top left. Thread-safe, as long as nobody trains the network.
  std::vector<std::vector<std::int32_t>> encode(std::span<const image::Image> images) const;
  // Throws Error(input) for a wrong number of codes or a code outside the codebook.
  std::vector<image::Image> decode(std::span<const std::vector<std::int32_t>> codes) const;
  at::Tensor codebook() const;  // [codebook_size, codebook_dim] as decoded (normalised)

  ImageNetwork& network() { return *network_; }
  const ImageNetwork& network() const { return *network_; }

 private:
  std::unique_ptr<ImageNetwork> network_;
  WeightPrecision precision_ = WeightPrecision::fp32;
};

// The centre square of an image as [3, size, size], fp32 in -1 .. 1: what the network sees.
at::Tensor image_to_pixels(const image::Image& image, std::int64_t size);
// [3, H, W] in -1 .. 1 (clamped) to 8-bit RGB, with LlamaGen's rounding: 127.5 y + 128, cut off.
image::Image pixels_to_image(const at::Tensor& pixels);

}  // namespace omni::tokenizers
