#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text_added_tokens.h"
#include "text_bpe.h"
#include "text_normaliser.h"
#include "text_pre_tokeniser.h"

namespace omni::tokenizers {

// Everything that a tokenizer.json says, ready to run.
struct TextPipeline {
  AddedTokenFinder raw_tokens;         // looked for before normalisation
  AddedTokenFinder normalised_tokens;  // and after
  TextNormaliser normaliser;
  PreTokeniser pre_tokeniser;
  BytePairEncoding model;
  std::vector<std::int32_t> prefix, suffix;  // what the post-processor puts around a text
  std::vector<std::string> token_bytes;      // by id; an end-of-word suffix reads as a space
  std::vector<bool> special;                 // by id
  bool has_word_suffix = false;
};

// Throws Error(input) naming `name` where the text is not a byte-level BPE tokenizer.json, or asks for a step
// that is not supported.
TextPipeline parse_tokenizer_json(std::string_view json, const std::string& name);

// A GPT-2 style tokenizer.json from byte-string merges in the order of their rank.
std::string make_tokenizer_json(const std::vector<std::pair<std::string, std::string>>& merges);

}  // namespace omni::tokenizers
