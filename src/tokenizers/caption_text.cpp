#include "omni/tokenizers/caption_text.h"

#include <algorithm>
#include <array>

#include "text_unicode.h"

namespace omni::tokenizers {
namespace {

bool belongs_to_word(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  const bool latin_sign = c < 0xC0 || c == 0xD7 || c == 0xF7;
  const bool general_punctuation = c >= 0x2000 && c <= 0x206F;
  const bool east_asian_punctuation = c >= 0x3000 && c <= 0x303F;
  return !latin_sign && !general_punctuation && !east_asian_punctuation;
}

}  // namespace

std::string fold_case(std::string_view text) {
  if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }))
    return to_lower_case(text);
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::vector<std::int32_t> encode_caption(const TextTokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode(fold_case(text));
}

std::vector<std::string> caption_words(std::string_view text) {
  const std::string folded = fold_case(text);
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (std::size_t at = 0; at < folded.size();) {
    const Utf8Character character = read_utf8(folded, at);
    if (character.valid && belongs_to_word(character.code_point))
      word.append(folded, at, character.length);
    else
      end_word();
    at += character.length;
  }
  end_word();
  return words;
}

bool is_joining_word(std::string_view word) {
  static constexpr std::array<std::string_view, 17> kJoining = {"a",    "an",  "and",   "at",  "in",  "is",
                                                                "it",   "of",  "on",    "one", "or",  "some",
                                                                "that", "the", "there", "to",  "with"};
  return std::binary_search(kJoining.begin(), kJoining.end(), word);
}

}  // namespace omni::tokenizers
