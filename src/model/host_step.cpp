#include "host_step.h"

#include "stream_blocks.h"

namespace omni::model {

std::unique_ptr<kernels::DecodeStep> make_host_step(const Transformer::Network& network, std::size_t stream,
                                                    kernels::DecodeFormat weights,
                                                    std::span<kernels::KeyValueCache> caches,
                                                    std::size_t first_of_generated) {
  const TransformerConfig& config = network.config;
  const std::vector<const nn::StreamLayers*> blocks = stream_blocks(network, stream);
  if (!network.embedding.device().is_cpu() || blocks.empty() || have_adapters(blocks)) return nullptr;
  kernels::DecodeStepNetwork step;
  step.final_norm = network.final_norm;
  step.type = network.type;
  step.width = config.width;
  step.inner = config.mlp_width();
  step.heads = config.heads;
  step.key_value_heads = config.stored_heads();
  step.head_size = config.attention_head_size();
  step.interleaved = config.rope == "interleaved";
  step.centred = config.norm_kind() == kernels::NormKind::layer;
  step.norm_epsilon = config.norm_epsilon;
  step.head_norm_epsilon = config.query_key_norm_epsilon;
  if (!kernels::DecodeStep::supports(step)) return nullptr;
  const auto matrix = [&](const nn::CastLinear& layer) {
    return kernels::DecodeStepMatrix{layer.weight.for_decoding(weights), layer.bias};
  };
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const nn::StreamLayers& block = *blocks[i];
    step.layers.push_back({block.attention_norm, block.mlp_norm, block.query_norm, block.key_norm,
                           matrix(block.qkv), matrix(block.attention_out), matrix(block.gate_up),
                           matrix(block.down), &caches[i], i < first_of_generated ? 0u : 1u});
  }
  return std::make_unique<kernels::DecodeStep>(std::move(step));
}

}  // namespace omni::model
