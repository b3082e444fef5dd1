#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace omni {

// Whether a pattern stands for the whole name: * for any characters, dots among them, ? for one.
bool matches_pattern(std::string_view pattern, std::string_view name);

// For each name, whether some pattern matches it. Throws Error(usage) for a pattern that matches none: with `key`, where it was
// given, and names that are near.
std::vector<bool> chosen_by_patterns(const std::vector<std::string>& patterns,
                                     const std::vector<std::string>& names, std::string_view key);

}  // namespace omni
