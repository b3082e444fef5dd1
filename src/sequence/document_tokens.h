#pragma once

#include <vector>

#include "omni/sequence/grammar.h"

namespace omni::sequence {

// document_tokens() of a document whose plan the walker that owns `parts` has accepted.
std::vector<std::int32_t> write_tokens(const Document& document, const SegmentParts& parts,
                                       const SequenceLayout& layout);

}  // namespace omni::sequence
