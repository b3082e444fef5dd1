#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "omni/tokenizers/text_tokenizer.h"

namespace omni::tokenizers {

// How texts that people write are read: captions in training, and prompts, alike.

// Unicode lower case. Not full case folding: a text in lower case stays as it is, byte for byte, so that
// models read it as before. Invalid bytes pass through unchanged.
std::string fold_case(std::string_view text);

// The tokens of the folded text. "a RED chair" is "a red chair".
std::vector<std::int32_t> encode_caption(const TextTokenizer& tokenizer, std::string_view text);

// The folded words: runs of letters and digits. Spaces, signs (general punctuation of Unicode, too) and
// invalid bytes end a word.
std::vector<std::string> caption_words(std::string_view text);

// Whether a word only joins others ("a", "with", "the"): it says nothing of an object. For folded English
// words.
bool is_joining_word(std::string_view word);

}  // namespace omni::tokenizers
