#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

namespace omni::tokenizers {

// The stored (uncompressed) entries of a zip archive by name, as views into `bytes`. Zip64 is understood.
// Throws Error(input) for anything out of bounds, compressed or encrypted.
std::map<std::string, std::span<const std::byte>> read_stored_zip(std::span<const std::byte> bytes);

}  // namespace omni::tokenizers
