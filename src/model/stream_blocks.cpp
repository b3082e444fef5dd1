#include "stream_blocks.h"

namespace omni::model {

std::vector<const nn::StreamLayers*> stream_blocks(const Transformer::Network& network, std::size_t stream) {
  if (stream == 0 && network.config.drops_text()) return {};
  std::vector<const nn::StreamLayers*> blocks;
  for (const nn::DecoderBlock& block : network.dual_blocks) blocks.push_back(&block.streams.at(stream));
  for (const nn::DecoderBlock& block : network.single_blocks) blocks.push_back(&block.streams.at(0));
  return blocks;
}

bool have_adapters(const std::vector<const nn::StreamLayers*>& blocks) {
  for (const nn::StreamLayers* layers : blocks)
    for (const nn::CastLinear* layer :
         {&layers->qkv, &layers->attention_out, &layers->gate_up, &layers->down})
      if (layer->adapter.defined()) return true;
  return false;
}

kernels::DecodeSizes decode_sizes(const TransformerConfig& config) {
  return {.heads = config.heads,
          .key_value_heads = config.stored_heads(),
          .head_size = config.attention_head_size(),
          .inner = config.mlp_width(),
          .interleaved = config.rope == "interleaved",
          .centred = config.norm_kind() == kernels::NormKind::layer,
          .norm_epsilon = config.norm_epsilon,
          .head_norm_epsilon = config.query_key_norm_epsilon};
}

}  // namespace omni::model
