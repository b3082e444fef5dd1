#pragma once

#include <cstdint>
#include <filesystem>

namespace omni::tokenizers {

// Of the geometry's codes.
struct CodebookSize {
  std::int64_t codes = 0, dimension = 0;
};

// Whether load_shape_tokenizer() would find in the folder's weights what its config says: throws as it does, and reads no
// values.
CodebookSize require_fitting_shape_tokenizer(const std::filesystem::path& folder);

}  // namespace omni::tokenizers
