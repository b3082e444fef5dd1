#pragma once

#include <vector>

#include "omni/kernels/decode_sizes.h"
#include "transformer_network.h"

namespace omni::model {

// The weights that rows of a stream (0: text or the only one, 1: generated) meet, block by block; empty where the last
// blocks give no output for them.
std::vector<const nn::StreamLayers*> stream_blocks(const Transformer::Network& network, std::size_t stream);

// Whether any of their linear layers has an adapter.
bool have_adapters(const std::vector<const nn::StreamLayers*>& blocks);

// What a step of decoding through them is told of the network.
kernels::DecodeSizes decode_sizes(const TransformerConfig& config);

}  // namespace omni::model
