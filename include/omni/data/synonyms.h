#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace omni::data {

// Other words for one of the procedural world's captions, by which nothing else in the world is called: "big"
// for "large", "cup" for "mug". None for a word without any.
std::vector<std::string> synonyms_of(std::string_view word);

// Every word that means the same as `word`, be it the world's own or another: "mug" for "cup".
std::vector<std::string> words_like(std::string_view word);

}  // namespace omni::data
