#pragma once

#include <filesystem>

namespace omni::checkpoint {

// Writes a checkpoint anew, from this format or the one before, as so many ranks would have: `to`, which must not
// exist, and common/ beside it, which may where it is the same. Throws Error(io), Error(input) or Error(usage).
void convert_checkpoint(const std::filesystem::path& from, const std::filesystem::path& to, int shards);

}  // namespace omni::checkpoint
