#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

namespace omni {

// Of a file's bytes, or of the names and bytes of all files below a folder: equal content, equal hash,
// wherever it lies. Reads piece by piece. Throws Error(io).
std::uint64_t content_hash(const std::filesystem::path& path);
// Of those files of a folder alone that `counts` says true of.
std::uint64_t content_hash(const std::filesystem::path& path,
                           const std::function<bool(const std::filesystem::path&)>& counts);

}  // namespace omni
