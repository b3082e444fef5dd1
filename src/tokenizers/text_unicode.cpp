#include "text_unicode.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <unordered_map>
#include <vector>

namespace omni::tokenizers {
namespace {

constexpr std::uint32_t composes_bit = 0x80000000;

struct Decomposition {
  std::uint32_t code_point, first,
      second;  // second: 0 if absent; composes_bit set where the pair composes back
};
struct CombiningRange {
  std::uint32_t first, last;
  int combining_class;
};
struct LowerCaseRange {
  std::uint32_t first, last, stride;
  std::int32_t delta;
};

#include "text_unicode_tables.inc"

// Hangul syllables follow a formula (The Unicode Standard, section 3.12).
constexpr char32_t hangul_base = 0xAC00, leading_base = 0x1100, vowel_base = 0x1161, trailing_base = 0x11A7;
constexpr char32_t vowel_count = 21, trailing_count = 28, leading_count = 19;
constexpr char32_t hangul_count = leading_count * vowel_count * trailing_count;

int combining_class(char32_t code_point) {
  if (code_point < 0x300) return 0;
  const auto* const end = std::end(combining_ranges);
  const auto* const range = std::lower_bound(std::begin(combining_ranges), end, code_point,
                                             [](const CombiningRange& r, char32_t c) { return r.last < c; });
  return range != end && range->first <= code_point ? range->combining_class : 0;
}

void decompose(char32_t code_point, std::u32string& out) {
  if (code_point < 0xC0) {
    out.push_back(code_point);
    return;
  }
  if (code_point >= hangul_base && code_point < hangul_base + hangul_count) {
    const char32_t index = code_point - hangul_base;
    out.push_back(leading_base + index / (vowel_count * trailing_count));
    out.push_back(vowel_base + index / trailing_count % vowel_count);
    if (index % trailing_count) out.push_back(trailing_base + index % trailing_count);
    return;
  }
  const auto* const end = std::end(decompositions);
  const auto* const found =
      std::lower_bound(std::begin(decompositions), end, code_point,
                       [](const Decomposition& d, char32_t c) { return d.code_point < c; });
  if (found == end || found->code_point != code_point) {
    out.push_back(code_point);
    return;
  }
  decompose(found->first, out);
  if (const std::uint32_t second = found->second & ~composes_bit) decompose(second, out);
}

using CompositionTable = std::unordered_map<std::uint64_t, char32_t>;

const CompositionTable& compositions() {
  static const CompositionTable table = [] {
    CompositionTable pairs;
    for (const Decomposition& d : decompositions) {
      if (d.second & composes_bit)
        pairs[std::uint64_t{d.first} << 32 | (d.second & ~composes_bit)] = d.code_point;
    }
    return pairs;
  }();
  return table;
}

// The primary composite of two characters, or 0.
char32_t compose_pair(char32_t first, char32_t second) {
  if (first >= leading_base && first < leading_base + leading_count && second >= vowel_base &&
      second < vowel_base + vowel_count) {
    return hangul_base + ((first - leading_base) * vowel_count + (second - vowel_base)) * trailing_count;
  }
  if (first >= hangul_base && first < hangul_base + hangul_count &&
      (first - hangul_base) % trailing_count == 0 && second > trailing_base &&
      second < trailing_base + trailing_count) {
    return first + (second - trailing_base);
  }
  const auto found = compositions().find(std::uint64_t{first} << 32 | second);
  return found == compositions().end() ? 0 : found->second;
}

// Sorts every run of combining marks by class, keeping the order within a class.
void reorder_marks(std::u32string& text) {
  for (std::size_t begin = 0; begin < text.size();) {
    if (combining_class(text[begin]) == 0) {
      ++begin;
      continue;
    }
    std::size_t end = begin;
    while (end < text.size() && combining_class(text[end]) != 0) ++end;
    std::stable_sort(text.begin() + begin, text.begin() + end,
                     [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

std::u32string compose(const std::u32string& text) {
  std::u32string out;
  std::size_t starter = std::u32string::npos;
  int last_class = -1;  // of the character before, since the starter; -1: nothing stands between
  for (const char32_t c : text) {
    const int current = combining_class(c);
    if (starter != std::u32string::npos && (last_class == -1 || (last_class < current && last_class != 0))) {
      if (const char32_t composite = compose_pair(out[starter], c)) {
        out[starter] = composite;
        continue;
      }
    }
    if (current == 0) {
      starter = out.size();
      last_class = -1;
    } else {
      last_class = current;
    }
    out.push_back(c);
  }
  return out;
}

void append_normalised(std::string& out, const std::string_view valid_text) {
  std::u32string decomposed;
  for (std::size_t at = 0; at < valid_text.size();) {
    const Utf8Character character = read_utf8(valid_text, at);
    decompose(character.code_point, decomposed);
    at += character.length;
  }
  reorder_marks(decomposed);
  for (const char32_t c : compose(decomposed)) append_utf8(out, c);
}

}  // namespace

Utf8Character read_utf8(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  const Utf8Character invalid{0xFFFD, 1, false};
  if (lead < 0xC2 || lead > 0xF4 || text.size() - at < length) return invalid;
  char32_t code_point = lead & (0xFF >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return invalid;
    code_point = code_point << 6 | (byte(i) & 0x3F);
  }
  const bool overlong = (length == 3 && code_point < 0x800) || (length == 4 && code_point < 0x10000);
  const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
  if (overlong || surrogate || code_point > 0x10FFFF) return invalid;
  return {code_point, length, true};
}

void append_utf8(std::string& text, char32_t c) {
  if (c < 0x80) {
    text.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    text.push_back(static_cast<char>(0xC0 | c >> 6));
    text.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    text.push_back(static_cast<char>(0xE0 | c >> 12));
    text.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    text.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    text.push_back(static_cast<char>(0xF0 | c >> 18));
    text.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3F)));
    text.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    text.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

std::string normalise_nfc(std::string_view text) {
  // Nothing below U+0300 changes under form C.
  if (std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0xCC; })) {
    return std::string(text);
  }
  std::string out;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = read_utf8(text, at);
    if (!character.valid) {
      append_normalised(out, text.substr(begin, at - begin));
      out.push_back(text[at]);
      begin = at + 1;
    }
    at += character.length;
  }
  append_normalised(out, text.substr(begin));
  return out;
}

std::string to_lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = read_utf8(text, at);
    const char32_t c = character.code_point;
    const auto* const end = std::end(lower_case_ranges);
    const auto* const range =
        std::lower_bound(std::begin(lower_case_ranges), end, c,
                         [](const LowerCaseRange& r, char32_t x) { return r.last < x; });
    if (!character.valid) {
      out.push_back(text[at]);
    } else if (c == 0x130) {  // the one letter whose lower case is two characters
      out += "i\xCC\x87";
    } else if (range != end && range->first <= c && (c - range->first) % range->stride == 0) {
      append_utf8(out, c + range->delta);
    } else {
      append_utf8(out, c);
    }
    at += character.length;
  }
  return out;
}

}  // namespace omni::tokenizers
