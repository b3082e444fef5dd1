#pragma once

#include <span>
#include <vector>

#include "omni/generation/document_decoder.h"
#include "omni/generation/request.h"
#include "omni/model/bundle.h"

namespace omni::generation {

// From what a user asks for to the documents that are to be completed.

// One document per request, whatever its count: conditions encoded with the bundle's tokenizers (texts first,
// then the images and the shapes of all requests together), generated segments with their fixed controls. For
// requests that check_request() let pass. Throws Error(usage) for a prompt that is too long.
std::vector<DocumentRequest> encode_requests(std::span<const GenerationRequest> requests,
                                             const model::Bundle& bundle);

// What a tokenizer sees of a mesh of any size and place. `frame`: see ShapeCondition.
tokenizers::ShapeSample shape_sample(geometry::Mesh mesh, const tokenizers::ShapeInput& input,
                                     const std::optional<geometry::Normalisation>& frame = {});

}  // namespace omni::generation
