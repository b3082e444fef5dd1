// Numbers as the program writes them.
#pragma once

#include <charconv>
#include <string>

namespace omni {

// The shortest text that reads back as the same number.
inline std::string shortest(double value) {
  char text[32];
  const auto result = std::to_chars(text, text + sizeof text, value);
  return std::string(text, result.ptr);
}

}  // namespace omni
