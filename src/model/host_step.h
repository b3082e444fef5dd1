#pragma once

#include <memory>

#include "omni/kernels/decode_step.h"
#include "transformer_network.h"

namespace omni::model {

// A step of a few rows of one stream on the CPU, over a cache for each block, of which those from
// `first_of_generated` on hold the generated stream's rows alone and are its second place. Nothing where the blocks have
// to be gone through layer by layer. The caches must outlive the step.
std::unique_ptr<kernels::DecodeStep> make_host_step(const Transformer::Network& network, std::size_t stream,
                                                    kernels::DecodeFormat weights,
                                                    std::span<kernels::KeyValueCache> caches,
                                                    std::size_t first_of_generated);

}  // namespace omni::model
