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

}  // namespace omni::model
