#pragma once

#include <string>
#include <vector>

#include "omni/tokenizers/word_list.h"

namespace omni::tools {

// Warns of words that no training caption held. Throws Error(usage) that names what the model knows for a
// prompt that says nothing else, unless `any`. `bundle`: whose words they are, for the message.
void check_prompt_words(const std::vector<std::string>& prompts, const tokenizers::WordList& words,
                        const std::string& bundle, bool any);

}  // namespace omni::tools
