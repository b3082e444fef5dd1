#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "omni/core/number.h"

namespace omni::tools {

// The ways in which commands add options whose values can be wrong. What is given is checked here, so that no
// command sees a number that is not finite or in range, or a word that it does not know; help tells the range
// in words. Mistakes throw Error(usage), which names the option. Defaults are shown; of an option given twice
// the last counts.

// Seeds of random numbers.
inline constexpr NumberRange kSeeds{.minimum = 0};
// Numbers of objects and the like, of which there may be more than fit into memory.
inline constexpr NumberRange kCounts{.minimum = 0, .maximum = 1e12};
inline constexpr NumberRange kShares{.minimum = 0, .maximum = 1};
inline constexpr NumberRange kAzimuths{.minimum = -360, .maximum = 360};
inline constexpr NumberRange kElevations{.minimum = -90, .maximum = 90};

// For int, std::int64_t, std::uint64_t, float and double.
template <class Number>
CLI::Option* add_number(CLI::App& command, const std::string& name, Number& value, const NumberRange& range,
                        const std::string& help);

// One or more numbers after the name; given again, they are added.
CLI::Option* add_numbers(CLI::App& command, const std::string& name, std::vector<double>& values,
                         const NumberRange& range, const std::string& help);

// --set, as often as it is given: assignments that override keys of a YAML file. `example` is one.
CLI::Option* add_overrides(CLI::App& command, std::vector<std::string>& overrides,
                           const std::string& example);

CLI::Option* add_choice(CLI::App& command, const std::string& name, std::string& value,
                        const std::vector<std::string>& words, const std::string& help);

}  // namespace omni::tools
