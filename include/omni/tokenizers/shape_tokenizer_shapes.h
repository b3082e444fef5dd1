#pragma once

#include <filesystem>
#include <memory>

#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::tokenizers {

// As load_shape_tokenizer(), with parameters that have shapes alone, once the folder's weights were found to have these; no
// value is read.
std::unique_ptr<ShapeTokenizer> load_shape_tokenizer_shapes(const std::filesystem::path& folder);

}  // namespace omni::tokenizers
