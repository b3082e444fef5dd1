#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::tokenizers {

// Codes of one shape on disk, told apart by the ending:
//   .yaml  the lists `geometry` and `colour`
//   .npy   the geometry codes as int32 and, where there are colour codes, <stem>.colour.npy beside it
//   .json  the segments of a sampled document, of which the last one that is a shape counts
struct StoredShape {
  ShapeCodes codes;
  std::optional<float> longest_side_m;  // in .json alone, where the model named a size
};

// Each file appears whole or not at all. Throws Error(usage) for another ending, Error(io).
void write_shape_codes(const std::filesystem::path& path, const ShapeCodes& codes);
// Throws Error(usage) for another ending, Error(io) or Error(input) naming the file.
StoredShape read_stored_shape(const std::filesystem::path& path);
ShapeCodes read_shape_codes(const std::filesystem::path& path);

std::string shape_codes_yaml(const ShapeCodes& codes);
// The shape as one segment of a .json file: an object without a line end.
std::string shape_segment_json(const StoredShape& shape);
// What a .json file says; `name` appears in errors. Throws Error(input).
StoredShape parse_shape_segments(std::string_view json, const std::string& name);

}  // namespace omni::tokenizers
