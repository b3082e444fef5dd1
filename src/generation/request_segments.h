// From what a user asks for to the segments of a document.
#pragma once

#include <vector>

#include "omni/generation/document_decoder.h"
#include "omni/generation/request.h"
#include "omni/model/bundle.h"

namespace omni::generation {

// Throws Error(usage) for a request that the bundle cannot serve.
void check_request(const GenerationRequest& request, const model::Bundle& bundle);

// Conditions encoded with the bundle's tokenizers, generated segments with their fixed controls. One list per
// request; images and shapes of all requests are encoded together.
std::vector<std::vector<SegmentRequest>> encode_requests(std::span<const GenerationRequest> requests,
                                                         const model::Bundle& bundle);

}  // namespace omni::generation
