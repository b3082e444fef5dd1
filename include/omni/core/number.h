#pragma once

#include <limits>
#include <string>
#include <string_view>

namespace omni {

// Numbers that people write, on the command line and in YAML: one reading for both.

// The values that are fine, bounds included.
struct NumberRange {
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
};

// Whether the range holds the value; no range holds not-a-number.
constexpr bool contains(const NumberRange& range, double value) {
  return value >= range.minimum && value <= range.maximum;
}

// "at least 0", "at most 5", "from 0 to 1"; empty without bounds.
std::string range_text(const NumberRange& range);

// Reads the whole of `text` into `value`, for int, std::int64_t, std::uint64_t, float and double. Returns "",
// or what is wrong, to be put after a name, and leaves `value`: "must be a whole number, not 'wide'", "is
// 5000; it must be from 1 to 64". Infinity, "not a number" and what a float cannot hold are refused, whatever
// the range.
template <class Number>
std::string read_number(std::string_view text, const NumberRange& range, Number& value);

}  // namespace omni
