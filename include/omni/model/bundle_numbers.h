#pragma once

#include <filesystem>
#include <set>
#include <string>

namespace omni::model {

// Of a bundle's parameters for decoding those whose numbers are all of bf16, as the header of its weights tells: rows of codes
// with the share of a codebook are not. Throws Error(io), Error(input).
std::set<std::string> parameters_of_bf16(const std::filesystem::path& folder);

}  // namespace omni::model
