#pragma once

#include <memory>

#include "cached_blocks.h"

namespace omni::model {

// A step of a few rows of one stream on the CPU, over the caches of `blocks`, which must outlive it; those that hold
// generated rows alone are its second place. Nothing where the blocks have to be gone through layer by layer.
std::unique_ptr<kernels::DecodeStep> make_host_step(const Transformer::Network& network, CachedBlocks& blocks,
                                                    std::size_t stream, kernels::DecodeFormat weights);

}  // namespace omni::model
