#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace omni::tokenizers {

struct Utf8Character {
  char32_t code_point = 0;
  std::size_t length = 1;  // bytes; 1 for an invalid byte
  bool valid = false;
};

// The character at `at` < text.size(). Overlong forms, surrogates and truncated sequences are invalid.
Utf8Character read_utf8(std::string_view text, std::size_t at);
void append_utf8(std::string& text, char32_t code_point);

// Unicode normalisation form C (Unicode Standard Annex 15). Invalid bytes pass through unchanged.
std::string normalise_nfc(std::string_view text);
// Unconditional lower case, character by character (no final sigma rule). Invalid bytes pass through
// unchanged.
std::string to_lower_case(std::string_view text);

}  // namespace omni::tokenizers
