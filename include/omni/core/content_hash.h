#pragma once

#include <cstdint>
#include <filesystem>

namespace omni {

// Of a file's bytes, or of the names and bytes of all files below a folder: equal content, equal hash,
// wherever it lies. Reads piece by piece. Throws Error(io).
std::uint64_t content_hash(const std::filesystem::path& path);

}  // namespace omni
