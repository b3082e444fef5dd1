#pragma once

#include <cstdint>
#include <filesystem>

namespace omni::model {

// Of what a bundle's folder holds of its own: neither what was made from it beside it (packed weights) nor what was
// noted of it (figures). Throws Error(io).
std::uint64_t bundle_content_hash(const std::filesystem::path& folder);

}  // namespace omni::model
