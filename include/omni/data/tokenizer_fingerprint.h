#pragma once

#include <cstdint>
#include <filesystem>

namespace omni::data {

// Of a tokenizer's file, or of config.yaml and weights.safetensors in its folder: equal bytes, equal
// fingerprint. 0 for an empty path. Throws Error(io).
std::uint64_t tokenizer_fingerprint(const std::filesystem::path& path);

}  // namespace omni::data
