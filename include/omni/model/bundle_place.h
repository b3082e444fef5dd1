#pragma once

#include <filesystem>

namespace omni::model {

// Refuses a folder that a bundle may not replace: with anything in it that is not of a bundle, sampling from it and
// evaluating it. save_bundle() itself asks for the description alone, for it comes at the end of long runs. Throws
// Error(usage).
void require_bundle_place(const std::filesystem::path& folder);

}  // namespace omni::model
