#pragma once

#include <filesystem>
#include <string>

#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::tokenizers {

// Codes of one shape on disk: .yaml with the lists `geometry` and `colour`, or .npy with the geometry codes
// as int32 and, where there are colour codes, <stem>.colour.npy beside it.
void write_shape_codes(const std::filesystem::path& path, const ShapeCodes& codes);
// Throws Error(usage) for another ending, Error(io) or Error(input) naming the file.
ShapeCodes read_shape_codes(const std::filesystem::path& path);
std::string shape_codes_yaml(const ShapeCodes& codes);

}  // namespace omni::tokenizers
