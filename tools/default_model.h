#pragma once

#include <filesystem>

namespace omni::tools {

// The model that comes with the program: models/tiny/bundle beside a build, share/omni/models/tiny/bundle
// beside an installed program. Throws Error(usage) where there is none.
std::filesystem::path default_model();

}  // namespace omni::tools
