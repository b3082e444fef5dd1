#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace omni {

// 16 digits, lower case, zeros in front: how fingerprints stand in files.
std::string hexadecimal(std::uint64_t value);
// The value of such digits; nothing for any other text.
std::optional<std::uint64_t> parse_hexadecimal(std::string_view digits);

// The shortest text that reads back as the same number of that type.
template <class Number>
std::string shortest(Number value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

// What comes before the first line break; all of a text without one.
std::string first_line(std::string_view text);

// As "%.*f" prints it: with_decimals(2.0 / 3, 2) is "0.67".
std::string with_decimals(double value, int decimals);

}  // namespace omni
