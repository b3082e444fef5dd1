#include "omni/tokenizers/image_tokenizer.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include <cstring>

#include "omni/core/error.h"
#include "omni/core/safetensors.h"
#include "omni/tokenizers/image_network.h"

namespace omni::tokenizers {

using at::Tensor;

namespace {
constexpr std::size_t images_per_batch = 32;
}  // namespace

void describe(ConfigVisitor& visitor, ImageTokenizerConfig& config) {
  visitor.integer("image_size", config.image_size, {.minimum = 8, .maximum = 2048});
  visitor.integer("channels", config.channels, {.minimum = 1, .maximum = 1024});
  visitor.integers("channel_multipliers", config.channel_multipliers, {.minimum = 1, .maximum = 16});
  visitor.integers("res_blocks", config.res_blocks, {.minimum = 0, .maximum = 16});
  visitor.flag("attention", config.attention);
  visitor.integer("norm_groups", config.norm_groups, {.minimum = 1, .maximum = 1024});
  visitor.integer("z_channels", config.z_channels, {.minimum = 1, .maximum = 4096});
  visitor.integer("codebook_size", config.codebook_size, {.minimum = 2, .maximum = 1 << 20});
  visitor.integer("codebook_dim", config.codebook_dim, {.minimum = 1, .maximum = 1024});
}

void check(const ImageTokenizerConfig& config) {
  const std::size_t levels = config.channel_multipliers.size();
  if (levels == 0 || levels > 8) {
    fail(ErrorKind::usage, "image tokenizer: channel_multipliers has ", levels, " levels. Give 1 to 8");
  }
  if (config.res_blocks.size() != levels) {
    fail(ErrorKind::usage, "image tokenizer: res_blocks has ", config.res_blocks.size(), " entries for ",
         levels, " levels. Give one per level");
  }
  const std::int64_t reduction = std::int64_t{1} << (levels - 1);
  if (config.image_size % reduction != 0) {
    fail(ErrorKind::usage, "image tokenizer: image_size ", config.image_size, " is no multiple of ",
         reduction, ". Choose one that is, or other levels");
  }
  const bool keeps_channels =
      config.res_blocks.back() > 0 || config.channel_multipliers.back() == config.channel_multipliers.front();
  if (!keeps_channels)
    fail(ErrorKind::usage, "image tokenizer: the last level needs at least one residual block");
}

ImageTokenizer::ImageTokenizer(const ImageTokenizerConfig& config, nn::ParameterStart start)
    : network_(std::make_unique<ImageNetwork>(config, std::move(start))) {}
ImageTokenizer::~ImageTokenizer() = default;

std::unique_ptr<ImageTokenizer> ImageTokenizer::load(const std::filesystem::path& folder) {
  ImageTokenizerConfig config;
  read_stored_config(folder / "config.yaml", [&](ConfigVisitor& visitor) { describe(visitor, config); });
  const SafetensorsFile weights(folder / "weights.safetensors");
  auto tokenizer = std::make_unique<ImageTokenizer>(config, nn::ParameterStart::to_load(weights));
  tokenizer->network_->parameters.load(weights);
  tokenizer->network_->parameters.set_trainable(false);
  const bool narrow = std::any_of(weights.tensors().begin(), weights.tensors().end(),
                                  [](const auto& item) { return item.second.dtype == DType::f16; });
  tokenizer->precision_ = narrow ? WeightPrecision::fp16 : WeightPrecision::fp32;
  return tokenizer;
}

void ImageTokenizer::save(const std::filesystem::path& folder, WeightPrecision precision) const {
  write_tokenizer_folder(folder, stored(precision));
}

StoredTokenizer ImageTokenizer::stored(WeightPrecision precision) const {
  ImageTokenizerConfig config = network_->config;
  StoredTokenizer stored{.config = config_to_yaml([&](ConfigVisitor& visitor) { describe(visitor, config); }),
                         .weights = {},
                         .metadata = {}};
  const at::ScalarType type = precision == WeightPrecision::fp16 ? at::kHalf : at::kFloat;
  for (const nn::Parameter& parameter : network_->parameters.all())
    stored.weights.emplace_back(parameter.name, parameter.value.detach().to(type));
  return stored;
}

const ImageTokenizerConfig& ImageTokenizer::config() const { return network_->config; }

std::int64_t ImageTokenizer::grid_size() const {
  return config().image_size >> (config().channel_multipliers.size() - 1);
}

std::int64_t ImageTokenizer::code_count() const { return grid_size() * grid_size(); }

std::vector<std::vector<std::int32_t>> ImageTokenizer::encode(std::span<const image::Image> images) const {
  const c10::InferenceMode inference;
  std::vector<std::vector<std::int32_t>> codes;
  codes.reserve(images.size());
  for (std::size_t begin = 0; begin < images.size(); begin += images_per_batch) {
    std::vector<Tensor> pixels;
    for (const image::Image& image :
         images.subspan(begin, std::min(images_per_batch, images.size() - begin))) {
      pixels.push_back(image_to_pixels(image, config().image_size));
    }
    const Tensor vectors = network_->encode(at::stack(pixels).contiguous(at::MemoryFormat::ChannelsLast));
    const Tensor indices =
        network_->nearest(ImageNetwork::normalise(vectors)).to(at::kInt).flatten(1).contiguous();
    for (std::int64_t i = 0; i < indices.size(0); ++i) {
      const auto* const row = indices.const_data_ptr<std::int32_t>() + i * indices.size(1);
      codes.emplace_back(row, row + indices.size(1));
    }
  }
  return codes;
}

std::vector<image::Image> ImageTokenizer::decode(std::span<const std::vector<std::int32_t>> codes) const {
  const c10::InferenceMode inference;
  for (const auto& image_codes : codes) {
    if (static_cast<std::int64_t>(image_codes.size()) != code_count()) {
      fail(ErrorKind::input, "cannot decode an image from ", image_codes.size(), " codes: the tokenizer has ",
           code_count());
    }
    for (const std::int32_t code : image_codes) {
      if (code < 0 || code >= config().codebook_size) {
        fail(ErrorKind::input, "cannot decode the image code ", code, ": the codebook has ",
             config().codebook_size);
      }
    }
  }
  std::vector<image::Image> images;
  for (std::size_t begin = 0; begin < codes.size(); begin += images_per_batch) {
    const auto batch = codes.subspan(begin, std::min(images_per_batch, codes.size() - begin));
    Tensor indices = at::empty({static_cast<std::int64_t>(batch.size()), grid_size(), grid_size()}, at::kInt);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      std::memcpy(indices.mutable_data_ptr<std::int32_t>() + i * batch[i].size(), batch[i].data(),
                  batch[i].size() * sizeof(std::int32_t));
    }
    const Tensor vectors = network_->lookup(indices.to(at::kLong)).contiguous(at::MemoryFormat::ChannelsLast);
    const Tensor pixels = network_->decode(vectors);
    for (std::int64_t i = 0; i < pixels.size(0); ++i) images.push_back(pixels_to_image(pixels[i]));
  }
  return images;
}

Tensor ImageTokenizer::codebook() const {
  const c10::NoGradGuard no_grad;
  return network_->codebook();
}

Tensor image_to_pixels(const image::Image& image, std::int64_t size) {
  image::Image square = image::centre_square(image::to_rgb(image));
  if (square.width != size) square = image::resize(square, static_cast<int>(size), static_cast<int>(size));
  const Tensor bytes = at::from_blob(square.pixels.data(), {size, size, 3}, at::kByte);
  return bytes.permute({2, 0, 1}).to(at::kFloat).mul(2.0 / 255.0).sub(1.0);
}

image::Image pixels_to_image(const Tensor& pixels) {
  const Tensor bytes = (pixels.detach().to(at::kFloat) * 127.5 + 128.0)
                           .clamp(0, 255)
                           .to(at::kByte)
                           .permute({1, 2, 0})
                           .contiguous();
  image::Image image(static_cast<int>(bytes.size(1)), static_cast<int>(bytes.size(0)), 3);
  std::memcpy(image.pixels.data(), bytes.const_data_ptr(), image.pixels.size());
  return image;
}

}  // namespace omni::tokenizers
