#pragma once

#include <cstdint>
#include <string>

namespace omni {

// 16 digits, lower case, zeros in front: how fingerprints stand in files.
std::string hexadecimal(std::uint64_t value);

// As "%.*f" prints it: with_decimals(2.0 / 3, 2) is "0.67".
std::string with_decimals(double value, int decimals);

}  // namespace omni
