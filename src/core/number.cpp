#include "omni/core/number.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "omni/core/error.h"
#include "omni/core/text_format.h"

namespace omni {
namespace {

// 1,048,576 rather than 1.04858e+06.
std::string bound_text(double bound) {
  constexpr double kPlain = 1e15;  // below it, whole numbers are written out
  if (bound != std::floor(bound) || std::abs(bound) >= kPlain) return shortest(bound);
  std::string digits = std::to_string(static_cast<std::int64_t>(bound));
  if (std::abs(bound) < 1e4) return digits;
  for (std::size_t end = digits.size(); end > 3 && digits[end - 4] != '-'; end -= 3)
    digits.insert(end - 3, ",");
  return digits;
}

// Whether the value can be stored, and still be a number once it is a float.
template <class Number, class Wide>
bool fits(Wide wide) {
  if constexpr (std::is_integral_v<Number>)
    return std::in_range<Number>(wide);
  else
    return std::isfinite(static_cast<float>(wide));
}

template <class Wide, class Number>
std::string read_as(std::string_view text, const NumberRange& range, Number& value) {
  Wide wide = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, wide);
  const bool is_number = error != std::errc::invalid_argument && end == last;
  if (!is_number || !std::isfinite(static_cast<double>(wide)))
    return concat("must be a ", std::is_integral_v<Number> ? "whole " : "", "number, not '", text, "'");
  const bool parsed = error == std::errc();
  const auto size = static_cast<double>(wide);
  const bool outside = parsed && (size < range.minimum || size > range.maximum);
  if (!outside && parsed && fits<Number>(wide)) {
    value = static_cast<Number>(wide);
    return "";
  }
  if (outside || std::isfinite(range.maximum)) return concat("is ", text, "; it must be ", range_text(range));
  return concat("is ", text, ", which is beyond what omni computes with");
}

}  // namespace

std::string range_text(const NumberRange& range) {
  const bool below = std::isfinite(range.minimum), above = std::isfinite(range.maximum);
  if (below && above) return concat("from ", bound_text(range.minimum), " to ", bound_text(range.maximum));
  if (below) return concat("at least ", bound_text(range.minimum));
  return above ? concat("at most ", bound_text(range.maximum)) : "";
}

template <class Number>
std::string read_number(std::string_view text, const NumberRange& range, Number& value) {
  if constexpr (std::is_integral_v<Number>) {
    // Below 0 it is still a number, even where none below 0 is fine.
    if (text.starts_with('-')) return read_as<std::int64_t>(text, range, value);
    return read_as<std::uint64_t>(text, range, value);
  } else {
    return read_as<double>(text, range, value);
  }
}

template std::string read_number(std::string_view, const NumberRange&, int&);
template std::string read_number(std::string_view, const NumberRange&, std::int64_t&);
template std::string read_number(std::string_view, const NumberRange&, std::uint64_t&);
template std::string read_number(std::string_view, const NumberRange&, float&);
template std::string read_number(std::string_view, const NumberRange&, double&);

}  // namespace omni
