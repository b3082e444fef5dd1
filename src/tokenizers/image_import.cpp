// Reads LlamaGen's public image tokenizers, whose sizes are told by their tensors' shapes.
#include <ATen/core/grad_mode.h>

#include <map>

#include "omni/core/error.h"
#include "omni/core/finite_values.h"
#include "omni/core/safetensors.h"
#include "omni/nn/parameters.h"
#include "omni/tokenizers/image_network.h"
#include "omni/tokenizers/torch_checkpoint.h"

namespace omni::tokenizers {
namespace {

using Tensors = std::map<std::string, at::Tensor>;

Tensors read_tensors(const std::filesystem::path& path) {
  if (path.extension() != ".safetensors") return read_torch_checkpoint(path);
  const SafetensorsFile file(path);
  Tensors tensors;
  for (const auto& [name, view] : file.tensors()) tensors[name] = nn::to_tensor(view);
  return tensors;
}

// The network's tensors, which checkpoints keep at the top or under one of these keys.
Tensors find_state(const Tensors& all) {
  for (const std::string prefix : {"ema.", "model.", "state_dict.", ""}) {
    Tensors state;
    for (const auto& [name, tensor] : all) {
      if (name.starts_with(prefix)) state[name.substr(prefix.size())] = tensor;
    }
    if (state.contains("encoder.conv_in.weight")) return state;
  }
  fail(ErrorKind::input, "it has no tensor 'encoder.conv_in.weight', so it is no LlamaGen tokenizer");
}

const at::Tensor& require(const Tensors& state, const std::string& name, std::int64_t dimensions) {
  const auto found = state.find(name);
  if (found == state.end()) fail(ErrorKind::input, "the tensor '", name, "' is missing");
  if (found->second.dim() != dimensions)
    fail(ErrorKind::input, "the tensor '", name, "' has ", found->second.dim(), " dimensions");
  return found->second;
}

ImageTokenizerConfig config_of(const Tensors& state) {
  ImageTokenizerConfig config;
  config.channels = require(state, "encoder.conv_in.weight", 4).size(0);
  config.z_channels = require(state, "encoder.conv_out.weight", 4).size(0);
  config.codebook_size = require(state, "quantize.embedding.weight", 2).size(0);
  config.codebook_dim = require(state, "quantize.embedding.weight", 2).size(1);
  config.attention = state.contains("encoder.mid.1.q.weight");
  config.channel_multipliers.clear();
  config.res_blocks.clear();
  for (int level = 0; level < 16; ++level) {
    const auto block = [&](int i) {
      return concat("encoder.conv_blocks.", level, ".res.", i, ".conv1.weight");
    };
    if (!state.contains(block(0))) break;
    std::int64_t blocks = 0;
    while (state.contains(block(static_cast<int>(blocks)))) ++blocks;
    config.channel_multipliers.push_back(require(state, block(0), 4).size(0) /
                                         std::max<std::int64_t>(1, config.channels));
    config.res_blocks.push_back(blocks);
  }
  return config;
}

void check_sizes(const ImageTokenizerConfig& config) {
  for (const std::int64_t multiplier : config.channel_multipliers) {
    if (multiplier < 1 || multiplier > 16)
      fail(ErrorKind::input, "its levels have impossible channel counts");
  }
  const bool plausible =
      config.channels >= 1 && config.channels <= 1024 && config.z_channels >= 1 && config.z_channels <= 4096;
  if (!plausible) fail(ErrorKind::input, "its layers have impossible channel counts");
}

}  // namespace

std::unique_ptr<ImageTokenizer> ImageTokenizer::import_llamagen(const std::filesystem::path& path,
                                                                std::int64_t image_size) {
  const Tensors all = read_tensors(path);
  try {
    const Tensors state = find_state(all);
    ImageTokenizerConfig config = config_of(state);
    config.image_size = image_size > 0 ? image_size : 256;
    check_sizes(config);
    auto tokenizer = std::make_unique<ImageTokenizer>(config);
    const c10::NoGradGuard no_grad;
    for (const nn::Parameter& parameter : tokenizer->network_->parameters.all()) {
      const at::Tensor& value = require(state, parameter.name, parameter.value.dim());
      if (value.sizes() != parameter.value.sizes()) {
        fail(ErrorKind::input, "the tensor '", parameter.name, "' has the shape ", value.sizes(),
             " in place of ", parameter.value.sizes());
      }
      const at::Tensor own = value.contiguous();
      if (const auto element = first_not_finite(nn::view_of(own)))
        fail(ErrorKind::input, "element ", *element, " of the tensor '", parameter.name,
             "' is not finite, as weights are. Take the file anew from where it came");
      parameter.value.copy_(own);
    }
    tokenizer->network_->parameters.set_trainable(false);
    return tokenizer;
  } catch (const Error& error) {
    throw Error(ErrorKind::input, concat("cannot import ", path.string(), ": ", error.what()));
  }
}

}  // namespace omni::tokenizers
