#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace omni {

// Text from outside: checked where it enters, escaped where it is quoted.

// The bytes of the character of UTF-8 that a text, which is not empty, begins with; 0 where it begins with none (RFC
// 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF).
std::size_t character_bytes(std::string_view text);
// The position of the first byte that does not belong to such a character; npos where all do.
std::size_t find_invalid_utf8(std::string_view text);
inline bool is_utf8(std::string_view text) { return find_invalid_utf8(text) == std::string_view::npos; }

// Whether a text of UTF-8 says nothing: it holds white space and control characters alone, or nothing at all.
bool is_blank(std::string_view text);

// What a text file says, as UTF-8 without a byte order mark: UTF-16 is converted, told by its mark or by
// zeros at every other byte. Throws Error(input) that names `name`, the line, the byte and what to convert
// from.
std::string decode_text(std::string_view bytes, const std::string& name);

// A text that may stand in one line of a message: control characters and bytes that are not UTF-8 are written
// as escapes (\n, \x1b), and so is the rest of a long one (...).
std::string printable(std::string_view text, std::size_t most_bytes = 200);
// The same for a whole message, of any length, which keeps its line breaks and tabs.
std::string printable_message(std::string_view message);

}  // namespace omni
