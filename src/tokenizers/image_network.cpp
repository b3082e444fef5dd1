#include "omni/tokenizers/image_network.h"

#include <cmath>
#include <numeric>

#include "omni/core/error.h"
#include "omni/kernels/widened.h"

namespace omni::tokenizers {

using at::Tensor;

namespace {

Tensor norm_swish(const nn::GroupNorm& norm, const Tensor& x) { return at::silu(norm(x)); }

Tensor downsample(const nn::Convolution& convolution, const Tensor& x) {
  return convolution(at::constant_pad_nd(x, {0, 1, 0, 1}));
}

Tensor upsample(const nn::Convolution& convolution, const Tensor& x) {
  return convolution(at::upsample_nearest2d(x, {x.size(2) * 2, x.size(3) * 2}));
}

}  // namespace

Tensor ImageNetwork::ResBlock::operator()(const Tensor& x) const {
  const Tensor h = conv2(norm_swish(norm2, conv1(norm_swish(norm1, x))));
  return (has_shortcut ? shortcut(x) : x) + h;
}

Tensor ImageNetwork::AttentionBlock::operator()(const Tensor& x) const {
  const Tensor normed = norm(x);
  const std::int64_t batch = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  const auto as_rows = [&](const Tensor& t) {
    return kernels::widened(t).reshape({batch, channels, height * width}).transpose(1, 2);
  };
  const Tensor scores =
      at::matmul(as_rows(q(normed)), as_rows(k(normed)).transpose(1, 2)) / std::sqrt(double(channels));
  const Tensor mixed = at::matmul(at::softmax(scores, -1), as_rows(v(normed)));
  return x + proj_out(mixed.transpose(1, 2).reshape({batch, channels, height, width}).to(x.scalar_type()));
}

nn::GroupNorm ImageNetwork::make_norm(const nn::ParameterScope& scope, std::int64_t channels) const {
  return nn::GroupNorm(scope, std::gcd(config.norm_groups, channels), channels, 1e-6);
}

ImageNetwork::ResBlock ImageNetwork::make_res(const nn::ParameterScope& scope, std::int64_t in,
                                              std::int64_t out) const {
  ResBlock block;
  block.norm1 = make_norm(scope.sub("norm1"), in);
  block.conv1 = nn::Convolution(scope.sub("conv1"), 2, in, out, 3, 1, 1);
  block.norm2 = make_norm(scope.sub("norm2"), out);
  block.conv2 = nn::Convolution(scope.sub("conv2"), 2, out, out, 3, 1, 1);
  block.has_shortcut = in != out;
  if (block.has_shortcut) block.shortcut = nn::Convolution(scope.sub("nin_shortcut"), 2, in, out, 1);
  return block;
}

ImageNetwork::AttentionBlock ImageNetwork::make_attention(const nn::ParameterScope& scope,
                                                          std::int64_t channels) const {
  AttentionBlock block;
  block.norm = make_norm(scope.sub("norm"), channels);
  block.q = nn::Convolution(scope.sub("q"), 2, channels, channels, 1);
  block.k = nn::Convolution(scope.sub("k"), 2, channels, channels, 1);
  block.v = nn::Convolution(scope.sub("v"), 2, channels, channels, 1);
  block.proj_out = nn::Convolution(scope.sub("proj_out"), 2, channels, channels, 1);
  return block;
}

ImageNetwork::Level ImageNetwork::make_level(const nn::ParameterScope& scope, std::int64_t in,
                                             std::int64_t out, std::int64_t blocks, bool attention) const {
  Level level;
  for (std::int64_t i = 0; i < blocks; ++i) {
    level.res.push_back(make_res(scope.sub("res").sub(i), i == 0 ? in : out, out));
    if (attention) level.attention.push_back(make_attention(scope.sub("attn").sub(i), out));
  }
  return level;
}

void ImageNetwork::make_mid(const nn::ParameterScope& scope, std::int64_t channels, Half& half) const {
  half.mid_first = make_res(scope.sub(0), channels, channels);
  if (config.attention) half.mid_attention.push_back(make_attention(scope.sub(1), channels));
  half.mid_last = make_res(scope.sub(2), channels, channels);
}

void ImageNetwork::make_encoder() {
  const nn::ParameterScope scope(parameters, "encoder");
  const auto levels = static_cast<std::int64_t>(config.channel_multipliers.size());
  encoder_.conv_in = nn::Convolution(scope.sub("conv_in"), 2, 3, config.channels, 3, 1, 1);
  std::int64_t channels = config.channels;
  for (std::int64_t i = 0; i < levels; ++i) {
    const nn::ParameterScope level_scope = scope.sub("conv_blocks").sub(i);
    const bool last = i + 1 == levels;
    const std::int64_t out = config.channels * config.channel_multipliers[i];
    Level level = make_level(level_scope, channels, out, config.res_blocks[i], last && config.attention);
    if (!level.res.empty()) channels = out;
    level.has_resample = !last;
    if (!last)
      level.resample =
          nn::Convolution(level_scope.sub("downsample").sub("conv"), 2, channels, channels, 3, 2);
    encoder_.levels.push_back(std::move(level));
  }
  make_mid(scope.sub("mid"), channels, encoder_);
  encoder_.norm_out = make_norm(scope.sub("norm_out"), channels);
  encoder_.conv_out = nn::Convolution(scope.sub("conv_out"), 2, channels, config.z_channels, 3, 1, 1);
}

void ImageNetwork::make_decoder() {
  const nn::ParameterScope scope(parameters, "decoder");
  const auto levels = static_cast<std::int64_t>(config.channel_multipliers.size());
  std::int64_t channels = config.channels * config.channel_multipliers.back();
  decoder_.conv_in = nn::Convolution(scope.sub("conv_in"), 2, config.z_channels, channels, 3, 1, 1);
  make_mid(scope.sub("mid"), channels, decoder_);
  for (std::int64_t j = 0; j < levels; ++j) {
    const std::int64_t resolution = levels - 1 - j;
    const nn::ParameterScope level_scope = scope.sub("conv_blocks").sub(j);
    const std::int64_t out = config.channels * config.channel_multipliers[resolution];
    Level level =
        make_level(level_scope, channels, out, config.res_blocks[resolution] + 1, j == 0 && config.attention);
    channels = out;
    level.has_resample = resolution > 0;
    if (level.has_resample) {
      level.resample =
          nn::Convolution(level_scope.sub("upsample").sub("conv"), 2, channels, channels, 3, 1, 1);
    }
    decoder_.levels.push_back(std::move(level));
  }
  decoder_.norm_out = make_norm(scope.sub("norm_out"), channels);
  decoder_.conv_out = nn::Convolution(scope.sub("conv_out"), 2, channels, 3, 3, 1, 1);
}

nn::QuantiserConfig quantiser_config(const ImageTokenizerConfig& config) {
  nn::QuantiserConfig quantiser;
  quantiser.kind = "vq";
  quantiser.codebook_size = config.codebook_size;
  quantiser.codebook_dim = config.codebook_dim;
  quantiser.unit_length = true;
  return quantiser;
}

ImageNetwork::ImageNetwork(const ImageTokenizerConfig& wanted, nn::ParameterStart start)
    : config(wanted), parameters(std::move(start)) {
  check(config);
  make_encoder();
  make_decoder();
  const nn::ParameterScope root(parameters);
  quant_conv_ = nn::Convolution(root.sub("quant_conv"), 2, config.z_channels, config.codebook_dim, 1);
  post_quant_conv_ =
      nn::Convolution(root.sub("post_quant_conv"), 2, config.codebook_dim, config.z_channels, 1);
  // Learned by moving averages, not by gradients, so it is no trainable parameter.
  embedding = root.sub("quantize")
                  .sub("embedding")
                  .add("weight", {config.codebook_size, config.codebook_dim}, nn::Init::normal(1.0),
                       {.trainable = false});
  quantiser_.emplace(embedding, quantiser_config(config));
}

Tensor ImageNetwork::run_level(const Level& level, Tensor x) {
  for (std::size_t i = 0; i < level.res.size(); ++i) {
    x = level.res[i](x);
    if (!level.attention.empty()) x = level.attention[i](x);
  }
  return x;
}

Tensor ImageNetwork::run_mid(const Half& half, Tensor x) {
  x = half.mid_first(x);
  for (const AttentionBlock& attention : half.mid_attention) x = attention(x);
  return half.mid_last(x);
}

Tensor ImageNetwork::encode(const Tensor& pixels) const {
  Tensor x = encoder_.conv_in(pixels);
  for (const Level& level : encoder_.levels) {
    x = run_level(level, x);
    if (level.has_resample) x = downsample(level.resample, x);
  }
  x = run_mid(encoder_, x);
  return quant_conv_(encoder_.conv_out(norm_swish(encoder_.norm_out, x)));
}

Tensor ImageNetwork::decode(const Tensor& codes) const {
  Tensor x = run_mid(decoder_, decoder_.conv_in(post_quant_conv_(codes)));
  for (const Level& level : decoder_.levels) {
    x = run_level(level, x);
    if (level.has_resample) x = upsample(level.resample, x);
  }
  return decoder_.conv_out(norm_swish(decoder_.norm_out, x));
}

Tensor ImageNetwork::normalise(const Tensor& vectors) { return nn::unit_length(vectors, 1); }

Tensor ImageNetwork::codebook() const { return quantiser_->codebook(); }

Tensor ImageNetwork::nearest(const Tensor& normalised) const {
  return quantiser_->nearest(normalised.permute({0, 2, 3, 1}));
}

Tensor ImageNetwork::lookup(const Tensor& indices) const {
  return quantiser_->lookup(indices).permute({0, 3, 1, 2});
}

}  // namespace omni::tokenizers
