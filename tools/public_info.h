#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "omni/model/model_sizes.h"

namespace omni::tools {

// How many parameters the weights in such a folder, or in one of its parts, are: "427.6 million parameters".
std::string millions_in(const std::filesystem::path& folder);
// Throws Error(usage) for a file of weights, in which nothing says what model they are of, and for a folder of what was
// published, with the command that imports it.
void refuse_weights(const std::filesystem::path& path);

// What such a folder holds: family, towers, tokenizers.
void print_public_folder(const std::filesystem::path& folder);
// Nothing for a CLIP, which is no decoder and described whole by the above.
std::optional<model::ModelSizes> sizes_of_public_folder(const std::filesystem::path& folder);

}  // namespace omni::tools
