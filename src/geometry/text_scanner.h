#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "omni/core/utf8.h"

namespace omni::geometry {

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Both functions keep `text` a view into the same memory, so that its position can be told at the end, too.
// Cuts the first line off `text`, without its end ("\n", "\r\n" or "\r"). False at the end of the text.
inline bool next_line(std::string_view& text, std::string_view& line) {
  if (text.empty()) return false;
  std::size_t end = 0;
  while (end < text.size() && text[end] != '\n' && text[end] != '\r') ++end;
  line = text.substr(0, end);
  const bool both = end + 1 < text.size() && text[end] == '\r' && text[end + 1] == '\n';
  text.remove_prefix(std::min(end + (both ? 2 : 1), text.size()));
  return true;
}

inline bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

// Cuts the first word off `text`; empty where there is none left.
inline std::string_view next_word(std::string_view& text) {
  std::size_t begin = 0;
  while (begin < text.size() && is_space(text[begin])) ++begin;
  std::size_t end = begin;
  while (end < text.size() && !is_space(text[end])) ++end;
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

// Whether a word is the given one, which is in lower case, in any case of its own.
inline bool equal_words(std::string_view word, std::string_view lower) {
  if (word.size() != lower.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const char c = word[i];
    if ((c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c) != lower[i]) return false;
  }
  return true;
}

// A text without the byte order mark that some programs put before it; UTF-16, told by its mark, is put into
// `converted` as UTF-8. Throws Error(input) for broken UTF-16.
inline std::string_view marked_text(std::string_view text, const std::string& name, std::string& converted) {
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    return converted = decode_text(text, name);
  return text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text;
}

// The whole word must be a number; "nan" and "inf" are read as such. Independent of the locale.
template <class T>
std::optional<T> parse_number(std::string_view word) {
  if (!word.empty() && word.front() == '+') word.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

}  // namespace omni::geometry
