#include "host_step.h"

#include "stream_blocks.h"

namespace omni::model {

std::unique_ptr<kernels::DecodeStep> make_host_step(const Transformer::Network& network, CachedBlocks& blocks,
                                                    std::size_t stream, kernels::DecodeFormat weights) {
  const std::vector<const nn::StreamLayers*> layers = stream_blocks(network, stream);
  if (!network.embedding.device().is_cpu() || layers.empty() || have_adapters(layers)) return nullptr;
  kernels::DecodeStepNetwork step{decode_sizes(network.config)};
  step.final_norm = network.final_norm;
  step.type = network.type;
  step.width = network.config.width;
  if (!kernels::DecodeStep::supports(step)) return nullptr;
  const auto matrix = [&](const nn::CastLinear& layer) {
    return kernels::DecodeStepMatrix{layer.weight.for_decoding(weights), layer.bias};
  };
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const nn::StreamLayers& own = *layers[i];
    step.layers.push_back({own.attention_norm, own.mlp_norm, own.query_norm, own.key_norm, matrix(own.qkv),
                           matrix(own.attention_out), matrix(own.gate_up), matrix(own.down), &blocks.cache(i),
                           blocks.holds_generated_rows(i) ? 1u : 0u});
  }
  return std::make_unique<kernels::DecodeStep>(std::move(step));
}

}  // namespace omni::model
