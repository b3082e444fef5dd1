#pragma once

#include <string>
#include <vector>

#include "omni/tokenizers/word_list.h"

namespace omni::tools {

// The known words that an unknown one may have meant: synonyms, then those spelled much the same.
std::vector<std::string> known_words_near(const std::string& word, const tokenizers::WordList& words);

// Warns of words that no training caption held. Throws Error(usage) that names what the model knows for a
// prompt that says nothing else, unless `any`. `bundle`: whose words they are, for the message.
void check_prompt_words(const std::vector<std::string>& prompts, const tokenizers::WordList& words,
                        const std::string& bundle, bool any);

}  // namespace omni::tools
