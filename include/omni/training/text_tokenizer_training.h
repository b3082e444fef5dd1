#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "omni/tokenizers/text_tokenizer.h"

namespace omni::training {

// Learns byte-pair merges (Sennrich et al. 2016, arXiv 1508.07909) over the words of `texts`, split by
// GPT-2's pattern; merges never cross words. Each step merges the pair that occurs most often, among equals
// the one with the smaller left, then the smaller right token id, so the result depends on the texts alone,
// not on their order. Stops early where no pair occurs twice. Throws Error(usage) for vocabulary_size < 256.
tokenizers::TextTokenizer train_text_tokenizer(std::span<const std::string> texts,
                                               std::int64_t vocabulary_size);

}  // namespace omni::training
